package network

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
)

// Exception is a destination that a guest may reach although its network
// refuses it.
type Exception struct {
	Prefix netip.Prefix
	Port   uint16 // 0: all
}

// maxExceptions bounds those of one VM.
const maxExceptions = 64

const hintException = "Use ADDRESS, ADDRESS/BITS, ADDRESS:PORT, ADDRESS/BITS:PORT or [ADDRESS6]:PORT, for instance 192.168.1.10:5432."

// ParseException reads ADDRESS[/BITS][:PORT]; an IPv6 address with a port is
// in brackets.
func ParseException(text string) (Exception, error) {
	bad := func(why string) (Exception, error) {
		return Exception{}, fault.New(fault.Invalid, hintException, "%q cannot be allowed: %s", text, why)
	}
	addr, port, ok := split(text)
	if !ok {
		return bad("it is no address")
	}
	e := Exception{}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("its port is none from 1 to 65535")
		}
		e.Port = uint16(n)
	}
	if prefix, err := netip.ParsePrefix(addr); err == nil {
		e.Prefix = prefix
	} else if single, err := netip.ParseAddr(addr); err == nil && single.Zone() == "" {
		e.Prefix = netip.PrefixFrom(single, single.BitLen())
	} else {
		return bad("it is no address")
	}
	switch a := e.Prefix.Addr(); {
	case a.Is4In6():
		return bad("use the IPv4 address itself")
	case e.Prefix != e.Prefix.Masked():
		return bad("it has bits beyond its prefix; it may mean " + e.Prefix.Masked().String())
	case a.IsMulticast():
		return bad("groups cannot be reached through this network")
	}
	return e, nil
}

// split cuts the port off.
func split(text string) (addr, port string, ok bool) {
	if inner, found := strings.CutPrefix(text, "["); found {
		addr, rest, found := strings.Cut(inner, "]")
		if !found {
			return "", "", false
		}
		if bits, found := strings.CutPrefix(rest, "/"); found {
			bits, rest, _ = strings.Cut(bits, ":")
			addr += "/" + bits
			if rest != "" {
				rest = ":" + rest
			}
		}
		if rest == "" {
			return addr, "", true
		}
		port, found = strings.CutPrefix(rest, ":")
		return addr, port, found && port != ""
	}
	if strings.Count(text, ":") != 1 { // none, or those of IPv6
		return text, "", true
	}
	addr, port, _ = strings.Cut(text, ":")
	return addr, port, port != ""
}

// ParseExceptions reads all exceptions of a VM.
func ParseExceptions(texts []string) ([]Exception, error) {
	if len(texts) > maxExceptions {
		return nil, fault.New(fault.Invalid, "Allow whole networks, as ADDRESS/BITS.", "%d exceptions are too many for a VM: it has at most %d", len(texts), maxExceptions)
	}
	var list []Exception
	for _, text := range texts {
		e, err := ParseException(text)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// String is what ParseException reads.
func (e Exception) String() string {
	addr := e.Prefix.String()
	if e.Prefix.IsSingleIP() {
		addr = e.Prefix.Addr().String()
	}
	switch {
	case e.Port == 0:
		return addr
	case e.Prefix.Addr().Is6():
		return fmt.Sprintf("[%s]:%d", addr, e.Port)
	}
	return fmt.Sprintf("%s:%d", addr, e.Port)
}

// MarshalText and UnmarshalText keep it as people write it.
func (e Exception) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (e *Exception) UnmarshalText(text []byte) (err error) {
	*e, err = ParseException(string(text))
	return err
}

// Covers reports whether the exception is for dst.
func (e Exception) Covers(dst netip.AddrPort) bool {
	return e.Prefix.Contains(dst.Addr()) && (e.Port == 0 || e.Port == dst.Port())
}

package reach

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// Forwards reads forwards as people write them: [ADDR:]HOST:GUEST, or PORT for
// the same one on both sides, with /tcp or without.
func Forwards(given []string) ([]api.Forward, error) {
	var all []api.Forward
	for _, text := range given {
		f, ok := parseForward(text)
		if !ok {
			return nil, app.Usagef("%q is no forward: write [ADDR:]HOST:GUEST, for instance 8080:80, or 0:80 for any free port here", show.Safe(text))
		}
		all = append(all, f)
	}
	return all, nil
}

func parseForward(text string) (f api.Forward, ok bool) {
	text = strings.TrimSuffix(text, "/tcp")
	rest, guest, two := cutLast(text)
	if !two {
		rest, guest = text, text
	}
	host := rest
	if at, port, three := cutLast(rest); three {
		if f.Address, ok = hostAddress(at); !ok {
			return f, false
		}
		host = port
	}
	if f.GuestPort, ok = port(guest); !ok || f.GuestPort == 0 {
		return f, false
	}
	f.HostPort, ok = port(host)
	return f, ok
}

func cutLast(text string) (before, after string, ok bool) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return "", text, false
	}
	return text[:at], text[at+1:], true
}

// hostAddress reads an address of the host; its loopback is the empty one.
func hostAddress(text string) (address string, ok bool) {
	if text == "localhost" {
		return "", true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil || addr.Is6() != strings.HasPrefix(text, "[") || addr.Is6() != strings.HasSuffix(text, "]") || addr.Zone() != "" {
		return "", false
	}
	return addr.Unmap().String(), true
}

func port(text string) (n int, ok bool) {
	u, err := strconv.ParseUint(text, 10, 16)
	return int(u), err == nil
}

// removals reads which forwards are to go: by the port here, or whole.
func removals(given []string) ([]api.Forward, error) {
	var all []api.Forward
	for _, text := range given {
		if n, ok := port(text); ok {
			all = append(all, api.Forward{HostPort: n})
			continue
		}
		f, ok := parseForward(text)
		if !ok {
			if at, p, err := net.SplitHostPort(text); err == nil { // as forward ls shows it
				f.Address, ok = hostAddress(at)
				f.HostPort, _ = port(p)
			}
		}
		if !ok {
			return nil, app.Usagef("%q is no forward: write its port here, or [ADDR:]HOST:GUEST", show.Safe(text))
		}
		all = append(all, f)
	}
	return all, nil
}

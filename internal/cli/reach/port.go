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
// the same one on both sides, with /tcp or without. Ports may be ranges of the
// same length, 8000-8010:9000-9010, which are a forward each.
func Forwards(given []string) ([]api.Forward, error) {
	var all []api.Forward
	for _, text := range given {
		some, ok := parseForward(text)
		if !ok {
			return nil, app.Usagef("%q is no forward: write [ADDR:]HOST:GUEST, for instance 8080:80, or 0:80 for any free port here", show.Safe(text))
		}
		if all = append(all, some...); len(all) > most {
			return nil, app.Usagef("%q is more ports than a VM may have forwards", show.Safe(text))
		}
	}
	return all, nil
}

// most bounds what the daemon is asked for; it knows how many a VM may have.
const most = 1024

func parseForward(text string) (all []api.Forward, ok bool) {
	text = strings.TrimSuffix(text, "/tcp")
	rest, guest, two := cutLast(text)
	if !two {
		rest, guest = text, text
	}
	host, address := rest, ""
	if at, port, three := cutLast(rest); three {
		if address, ok = hostAddress(at); !ok {
			return nil, false
		}
		host = port
	}
	to, ok := ports(guest)
	if !ok || to[0] == 0 {
		return nil, false
	}
	from, ok := ports(host)
	if !ok || len(from) != len(to) {
		return nil, false
	}
	for i := range to {
		all = append(all, api.Forward{Address: address, HostPort: from[i], GuestPort: to[i]})
	}
	return all, true
}

// ports reads a port, or a range of them from 1 on.
func ports(text string) (all []int, ok bool) {
	low, high, isRange := strings.Cut(text, "-")
	first, ok := port(low)
	if !isRange || !ok {
		return []int{first}, ok
	}
	last, ok := port(high)
	if !ok || first == 0 || last < first {
		return nil, false
	}
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all, true
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
		if some, ok := ports(text); ok {
			for _, n := range some {
				all = append(all, api.Forward{HostPort: n})
			}
			continue
		}
		some, ok := parseForward(text)
		if !ok {
			if at, p, err := net.SplitHostPort(text); err == nil { // as forward ls shows it
				f := api.Forward{}
				f.Address, ok = hostAddress(at)
				f.HostPort, _ = port(p)
				some = []api.Forward{f}
			}
		}
		if !ok {
			return nil, app.Usagef("%q is no forward: write its port here, or [ADDR:]HOST:GUEST", show.Safe(text))
		}
		all = append(all, some...)
	}
	return all, nil
}

// Package policy says which destinations a guest is kept from: this host, and
// networks that are not everybody's.
package policy

import (
	"net/netip"
	"slices"

	"github.com/banger-vm/banger/internal/network"
)

// Why is the reason of a refusal, "" where there is none.
type Why string

// Reasons that are no range.
const (
	OwnAddress Why = "an address of this host"
	Unknown    Why = "this host's own addresses are not known"
)

// Policy decides. Own returns the addresses of this host's interfaces as they
// are now; without them nothing is reached.
type Policy struct {
	Allow []network.Exception
	Own   func() ([]netip.Addr, error)
}

// Check returns why a guest must not reach dst. dst is what will be connected
// to: no name, and nothing that is translated once more.
func (p Policy) Check(dst netip.AddrPort) Why {
	addr := dst.Addr()
	for _, e := range p.Allow {
		if e.Covers(dst) {
			return ""
		}
	}
	if why := Range(addr); why != "" {
		return why
	}
	own, err := p.Own()
	if err != nil {
		return Unknown
	}
	if slices.Contains(own, addr) || slices.ContainsFunc(embedded(addr), func(a netip.Addr) bool { return slices.Contains(own, a) }) {
		return OwnAddress
	}
	return ""
}

// Range names the range of addresses that are not everybody's in which addr
// is, "" for none. An IPv6 address that stands for an IPv4 one is in the range
// of that one.
func Range(addr netip.Addr) Why {
	ranges := ranges6
	if addr.Is4() {
		ranges = ranges4
	}
	for _, r := range ranges {
		if r.Contains(addr) {
			return Why(r.String())
		}
	}
	for _, inner := range embedded(addr) {
		if why := Range(inner); why != "" {
			return why + ", as IPv6"
		}
	}
	if addr.Is6() && !global6.Contains(addr) && len(embedded(addr)) == 0 {
		return "no address of the Internet"
	}
	return ""
}

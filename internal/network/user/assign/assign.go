// Package assign tells a guest its addresses, the same for every VM: by DHCP
// for IPv4, by router advertisements for IPv6. They never run out, so a guest
// needs nothing new when its monitor is replaced.
package assign

import (
	"net/netip"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

// The addresses. Guest and Gateway are those that guests of QEMU have had.
var (
	Net     = netip.MustParsePrefix("10.0.2.0/24")
	Gateway = netip.MustParseAddr("10.0.2.2")
	Guest   = netip.MustParseAddr("10.0.2.15")

	Net6         = netip.MustParsePrefix("fd62:616e:6765:72::/64")
	Gateway6     = netip.MustParseAddr("fd62:616e:6765:72::2")
	GatewayLocal = netip.MustParseAddr("fe80::2")

	GatewayMAC = frames.MAC{0x52, 0x62, 0x61, 0x6e, 0x67, 0x02}
)

// IsGateway reports whether addr is one of the gateway's.
func IsGateway(addr netip.Addr) bool {
	return addr == Gateway || addr == Gateway6 || addr == GatewayLocal
}

// MayBeGuest reports whether a guest may send from addr: it is in the network,
// and not the gateway's.
func MayBeGuest(addr netip.Addr) bool {
	return !IsGateway(addr) && (Net.Contains(addr) || Net6.Contains(addr) || addr.Is6() && addr.IsLinkLocalUnicast())
}

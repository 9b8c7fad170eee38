package assign

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

// Again is when a guest has to hear the router again: well before it forgets
// it, which is after routerLife.
const (
	Again      = 10 * time.Minute
	routerLife = 150 * time.Minute // the most that RFC 4861 allows
)

// The messages and options of router discovery.
const (
	typeSolicit       = 133
	typeAdvertise     = 134
	optionSourceLink  = 1
	optionPrefix      = 3
	optionNameServers = 25
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = frames.MAC{0x33, 0x33, 0, 0, 0, 1}
)

// Solicits reports whether p asks for a router.
func Solicits(p frames.Packet) bool {
	typ, _, ok := p.ICMP()
	return ok && p.Proto == frames.ProtoICMPv6 && typ == typeSolicit
}

// Advertisement is what the router tells everybody on the link: the network,
// in which each makes an address of its own, and the gateway, which answers
// DNS too.
func Advertisement() []byte {
	b := []byte{64, 0} // hops; no DHCPv6
	b = binary.BigEndian.AppendUint16(b, uint16(routerLife/time.Second))
	b = append(b, make([]byte, 8)...) // how neighbours are asked: as they like
	b = append(append(b, optionSourceLink, 1), GatewayMAC[:]...)
	const onLink, addresses = 0x80, 0x40
	b = append(b, optionPrefix, 4, byte(Net6.Bits()), onLink|addresses)
	b = binary.BigEndian.AppendUint32(b, math.MaxUint32) // for ever
	b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
	b = append(b, 0, 0, 0, 0)
	b = append(b, Net6.Addr().AsSlice()...)
	b = append(b, optionNameServers, 3, 0, 0)
	b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
	b = append(b, Gateway6.AsSlice()...)
	return frames.Ends{From: GatewayMAC, To: allNodesMAC, Src: GatewayLocal, Dst: allNodes}.ICMP(typeAdvertise, 0, b)
}

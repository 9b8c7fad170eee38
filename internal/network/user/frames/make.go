package frames

import (
	"encoding/binary"
	"net/netip"
)

// Ends are the two ends of a frame.
type Ends struct {
	From, To MAC
	Src, Dst netip.Addr // of one version
}

// Back are the ends of an answer.
func (p Packet) Back() Ends { return Ends{From: p.To, To: p.From, Src: p.Dst, Dst: p.Src} }

// UDP makes a datagram.
func (e Ends) UDP(src, dst uint16, data []byte) []byte {
	b := make([]byte, lenUDP, lenUDP+len(data))
	binary.BigEndian.PutUint16(b[0:], src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint16(b[4:], uint16(lenUDP+len(data)))
	b = append(b, data...)
	sum := e.checksum(ProtoUDP, b)
	if sum == 0 { // which would say that there is none
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return e.packet(ProtoUDP, 64, b)
}

// ICMP makes a message: of ICMPv6 between IPv6 addresses. body is what is
// behind its checksum.
func (e Ends) ICMP(typ, code uint8, body []byte) []byte {
	b := append([]byte{typ, code, 0, 0}, body...)
	proto := uint8(ProtoICMP)
	var sum uint16
	if e.Src.Is6() {
		proto = ProtoICMPv6
		sum = e.checksum(proto, b)
	} else {
		sum = ^fold(add(0, b))
	}
	binary.BigEndian.PutUint16(b[2:], sum)
	return e.packet(proto, 255, b) // the hop limit that neighbour discovery wants
}

// packet puts the headers of Ethernet and IP before a payload.
func (e Ends) packet(proto, hops uint8, payload []byte) []byte {
	b := make([]byte, 0, lenEthernet+lenIPv6+len(payload))
	b = append(append(b, e.To[:]...), e.From[:]...)
	if e.Src.Is6() {
		b = binary.BigEndian.AppendUint16(b, TypeIPv6)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(b, proto, hops)
	} else {
		b = binary.BigEndian.AppendUint16(b, TypeIPv4)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(lenIPv4+len(payload)))
		b = append(b, 0, 0, 0, 0, hops, proto, 0, 0)
	}
	b = append(append(b, e.Src.AsSlice()...), e.Dst.AsSlice()...)
	if e.Src.Is4() {
		binary.BigEndian.PutUint16(b[lenEthernet+10:], ^fold(add(0, b[lenEthernet:])))
	}
	return append(b, payload...)
}

// checksum is that of a payload with its pseudo header.
func (e Ends) checksum(proto uint8, payload []byte) uint16 {
	sum := add(add(0, e.Src.AsSlice()), e.Dst.AsSlice())
	return ^fold(add(sum+uint32(proto)+uint32(len(payload)), payload))
}

func add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

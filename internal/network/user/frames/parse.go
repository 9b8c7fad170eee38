// Package frames reads and makes the Ethernet frames that banger answers
// itself. What it reads is hostile: it is checked, and copied by none.
package frames

import (
	"encoding/binary"
	"net/netip"
)

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is everybody on the link.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// The types of frames.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// The protocols of packets.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58

	protoFragment = 44
)

// The lengths of headers, in bytes.
const (
	lenEthernet = 14
	lenIPv4     = 20
	lenIPv6     = 40
	lenUDP      = 8
	lenICMP     = 8
	lenARP      = 28
	lenFragment = 8
)

// Packet is a frame taken apart. Its slices are parts of the frame.
type Packet struct {
	From, To MAC
	Type     uint16
	Src, Dst netip.Addr // of an IP packet; of ARP those of its sender and target
	Proto    uint8      // of an IP packet
	Fragment bool       // only a part of a packet, not necessarily its first
	IP       []byte     // from the IP header on, without padding
	Payload  []byte     // behind the IP header
}

// Parse takes a frame apart. It refuses whatever no ordinary guest sends: IPv4
// options, IPv6 extension headers but a fragment's, other types.
func Parse(frame []byte) (p Packet, ok bool) {
	if len(frame) < lenEthernet {
		return p, false
	}
	p.To, p.From = MAC(frame[0:6]), MAC(frame[6:12])
	p.Type = binary.BigEndian.Uint16(frame[12:])
	rest := frame[lenEthernet:]
	if p.From[0]&1 != 0 { // a group sends nothing
		return p, false
	}
	switch p.Type {
	case TypeARP:
		return p, p.arp(rest)
	case TypeIPv4:
		return p, p.ipv4(rest)
	case TypeIPv6:
		return p, p.ipv6(rest)
	}
	return p, false
}

func (p *Packet) arp(b []byte) bool {
	if len(b) < lenARP || binary.BigEndian.Uint32(b) != 0x00010800 || b[4] != 6 || b[5] != 4 {
		return false
	}
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	return MAC(b[8:14]) == p.From // it speaks for itself
}

func (p *Packet) ipv4(b []byte) bool {
	if len(b) < lenIPv4 || b[0] != 0x45 {
		return false
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < lenIPv4 || total > len(b) {
		return false
	}
	p.IP, p.Payload = b[:total], b[lenIPv4:total]
	p.Fragment = binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	p.Proto = b[9]
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	return true
}

func (p *Packet) ipv6(b []byte) bool {
	if len(b) < lenIPv6 || b[0]>>4 != 6 {
		return false
	}
	total := lenIPv6 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return false
	}
	p.IP, p.Payload = b[:total], b[lenIPv6:total]
	p.Proto = b[6]
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	if p.Proto == protoFragment {
		if len(p.Payload) < lenFragment {
			return false
		}
		p.Proto, p.Fragment, p.Payload = p.Payload[0], true, p.Payload[lenFragment:]
	}
	switch p.Proto {
	case ProtoTCP, ProtoUDP, ProtoICMPv6:
		return true
	}
	return false
}

// UDP returns the ports and the data of a whole datagram.
func (p Packet) UDP() (src, dst uint16, data []byte, ok bool) {
	b := p.Payload
	if p.Proto != ProtoUDP || p.Fragment || len(b) < lenUDP {
		return 0, 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < lenUDP || n > len(b) {
		return 0, 0, nil, false
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[lenUDP:n], true
}

// ICMP returns the type of a whole message of either version, and what is
// behind its checksum.
func (p Packet) ICMP() (typ uint8, body []byte, ok bool) {
	if p.Proto != ProtoICMP && p.Proto != ProtoICMPv6 || p.Fragment || len(p.Payload) < lenICMP {
		return 0, nil, false
	}
	return p.Payload[0], p.Payload[4:], true
}

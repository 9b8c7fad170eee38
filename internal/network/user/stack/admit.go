package stack

import (
	"net/netip"

	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
)

// The messages of ICMP that are looked at.
const (
	typeEcho4     = 8
	typeReply4    = 0
	typeEcho6     = 128
	typeReply6    = 129
	typeNeighbour = 135 // who has this address?
	typeHasIt     = 136
)

// admit reports whether the stack shall see a frame of the guest's. What it
// would answer wrongly, as it takes every address for its own, is answered
// here; what no guest needs is dropped.
func (s *Stack) admit(frame []byte) bool {
	p, ok := frames.Parse(frame)
	if !ok {
		return false
	}
	if p.Type == frames.TypeARP {
		return assign.IsGateway(p.Dst)
	}
	if reply, ours := assign.DHCP(p, s.cfg.Card); ours {
		if reply != nil {
			s.port.frame(reply)
		}
		return false
	}
	switch p.Proto {
	case frames.ProtoTCP, frames.ProtoUDP:
		return assign.MayBeGuest(p.Src)
	case frames.ProtoICMP, frames.ProtoICMPv6:
		return s.admitICMP(p)
	}
	return false
}

// admitICMP is admit for ICMP.
func (s *Stack) admitICMP(p frames.Packet) bool {
	typ, body, ok := p.ICMP()
	if !ok || p.Src.Is6() != (p.Proto == frames.ProtoICMPv6) {
		return false
	}
	if assign.Solicits(p) {
		s.port.frame(assign.Advertisement())
		return false
	}
	if !assign.MayBeGuest(p.Src) {
		return false
	}
	switch {
	case p.Src.Is6() && (typ == typeNeighbour || typ == typeHasIt):
		// Only for the gateway: the stack would claim every address.
		return typ == typeHasIt || asksForGateway(body)
	case p.Src.Is6() && typ == typeEcho6, !p.Src.Is6() && typ == typeEcho4:
		if assign.IsGateway(p.Dst) {
			return true // the stack answers
		}
		s.echo(p, body)
	}
	return false
}

// asksForGateway reports whether a neighbour solicitation is for the gateway.
func asksForGateway(body []byte) bool {
	if len(body) < 4+16 {
		return false
	}
	return assign.IsGateway(netip.AddrFrom16([16]byte(body[4:20])))
}

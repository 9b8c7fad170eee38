package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

// datagram makes the way of a guest's datagrams to one destination, with the
// first of them. It must not wait. What it reports not to have handled, the
// stack refuses.
func (s *Stack) datagram(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	dst := netip.AddrPortFrom(address(id.LocalAddress), id.LocalPort)
	about := s.quote(id, pkt)
	if asksDNS(dst) {
		return s.begin(id, pkt, s.answerQueries)
	}
	to, why := s.reach(dst)
	if why != "" {
		s.ledger.refuse("udp", dst, why)
		s.port.frame(about.Prohibited())
		return true
	}
	return s.begin(id, pkt, func(f *flow) { s.pass(f, to, about) })
}

// quote makes of a datagram what an error message about it needs.
func (s *Stack) quote(id stack.TransportEndpointID, pkt *stack.PacketBuffer) frames.Packet {
	from := s.cfg.Card
	if link := pkt.LinkHeader().Slice(); len(link) == 14 {
		from = frames.MAC(link[6:12])
	}
	p := frames.Packet{From: from, Src: address(id.RemoteAddress), Dst: address(id.LocalAddress)}
	copy(p.To[:], s.port.LinkAddress())
	p.IP = append(append(p.IP, pkt.NetworkHeader().Slice()...), pkt.TransportHeader().Slice()...)
	return p
}

// begin gives the guest its end of a way, on which its datagram waits, and has
// it served.
func (s *Stack) begin(id stack.TransportEndpointID, pkt *stack.PacketBuffer, serve func(*flow)) bool {
	if !s.flows.take() {
		s.ledger.refuse("udp", netip.AddrPortFrom(address(id.LocalAddress), id.LocalPort), tooMany)
		return false
	}
	handled := false
	udp.NewForwarder(s.ip, func(r *udp.ForwarderRequest) {
		var events waiter.Queue
		entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
		events.EventRegister(&entry)
		ep, terr := r.CreateEndpoint(&events)
		if terr != nil {
			s.log.Debug("a way for datagrams was not made", "err", terr)
			return
		}
		handled = true
		s.work.Go(func() {
			defer s.flows.give()
			defer ep.Close()
			serve(&flow{ep, ready})
		})
	}).HandlePacket(id, pkt)
	if !handled {
		s.flows.give()
	}
	return handled
}

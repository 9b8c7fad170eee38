package stack

import (
	"context"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/banger-vm/banger/internal/network/user/policy"
)

// tooMany is the reason of what is beyond a bound.
const tooMany policy.Why = "too many at once"

// accept makes the connection that the guest asks for, or resets it. It has a
// goroutine of its own. The guest is answered only when the far end was.
func (s *Stack) accept(r *tcp.ForwarderRequest) {
	id := r.ID()
	dst := netip.AddrPortFrom(address(id.LocalAddress), id.LocalPort)
	if !s.connections.take() {
		s.ledger.refuse("tcp", dst, tooMany)
		r.Complete(true)
		return
	}
	defer s.connections.give()
	far, err := s.dial(dst)
	if err != nil {
		s.log.Debug("a connection of the guest's was not made", "to", dst, "err", err)
		r.Complete(true)
		return
	}
	defer far.Close()
	var events waiter.Queue
	ep, terr := r.CreateEndpoint(&events)
	r.Complete(terr != nil)
	if terr != nil { // the guest has given it up meanwhile
		_ = far.SetLinger(0) // of one that has ended, too
		return
	}
	s.bound(ep)
	stop := context.AfterFunc(s.ctx, ep.Abort)
	defer stop()
	(&relay{ep: ep, events: &events, far: far}).run()
}

// dial connects to what dst leads to.
func (s *Stack) dial(dst netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, dialPatience)
	defer cancel()
	if asksDNS(dst) {
		conn, err := s.cfg.Resolver.Dial(ctx)
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}
	to, why := s.reach(dst)
	if why != "" {
		s.ledger.refuse("tcp", dst, why)
		return nil, refused(why)
	}
	d := net.Dialer{KeepAlive: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// refused is a refusal as an error.
type refused policy.Why

func (r refused) Error() string { return "the guest may not reach it: " + string(r) }

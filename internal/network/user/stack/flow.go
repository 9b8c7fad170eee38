package stack

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

// flow is a guest's end of the way of its datagrams to one destination.
type flow struct {
	ep    tcpip.Endpoint
	ready chan struct{} // there may be a datagram, or the end
}

// receive waits for the guest's next datagram, which the caller gives back
// with the buffer. It is false at the end, or once stop is closed.
func (f *flow) receive(stop <-chan struct{}) (buf *[64 << 10]byte, n int, ok bool) {
	for {
		buf = buffers.Get().(*[64 << 10]byte)
		w := tcpip.SliceWriter(buf[:])
		res, terr := f.ep.Read(&w, tcpip.ReadOptions{})
		if terr == nil {
			return buf, res.Count, true
		}
		buffers.Put(buf)
		if _, wait := terr.(*tcpip.ErrWouldBlock); !wait {
			return nil, 0, false
		}
		select {
		case <-f.ready:
		case <-stop:
			return nil, 0, false
		}
	}
}

// send sends the guest a datagram; one that it has no room for is lost.
func (f *flow) send(b []byte) { _, _ = f.ep.Write(bytes.NewReader(b), tcpip.WriteOptions{}) }

// pass joins the guest's datagrams with a socket of this host's, for as long as
// some come. about is the first of them.
func (s *Stack) pass(f *flow, to netip.AddrPort, about frames.Packet) {
	far, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		s.log.Debug("a guest's datagram was not sent", "to", to, "err", err)
		s.port.frame(about.NoPort())
		return
	}
	defer far.Close()
	defer context.AfterFunc(s.ctx, func() { far.Close() })()
	var answered atomic.Bool
	extend := func() {
		idle := flowSilent
		if answered.Load() {
			idle = flowIdle
		}
		_ = far.SetReadDeadline(time.Now().Add(idle)) // of one that is closed
	}
	extend()
	stop := make(chan struct{})
	s.work.Go(func() {
		defer close(stop)
		if errors.Is(f.back(far, func() { answered.Store(true); extend() }), unix.ECONNREFUSED) {
			s.port.frame(about.NoPort())
		}
	})
	for {
		buf, n, ok := f.receive(stop)
		if !ok {
			break
		}
		_, err := far.Write(buf[:n])
		buffers.Put(buf)
		if err == nil || errors.Is(err, unix.ECONNREFUSED) { // of an earlier one: the reader is told too
			extend()
		}
	}
	_ = far.Close()
	<-stop
}

// back sends the guest what comes back, until nothing does.
func (f *flow) back(far *net.UDPConn, came func()) error {
	raw, err := far.SyscallConn()
	if err != nil {
		return err
	}
	for {
		buf, n, err := await(raw)
		if err == nil {
			f.send(buf[:n])
			came()
		}
		if buf != nil {
			buffers.Put(buf)
		}
		if err != nil {
			return err
		}
	}
}

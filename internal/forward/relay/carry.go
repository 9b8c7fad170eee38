package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// quiet is how long nothing is said again of too many connections.
const quiet = 10 * time.Second

// acceptOn takes the connections of one listener until it is closed.
func (s *Set) acceptOn(l *listening, on *net.TCPListener) {
	for pause := time.Millisecond; ; {
		host, err := on.AcceptTCP()
		switch {
		case err == nil:
			pause = time.Millisecond
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, most likely: others may give some back
			s.log.Warn("accepting a connection failed", "forward", l.String(), "err", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		// Whatever ends this connection from now on is a reset at the other
		// end, the death of this process too: what was cut off must not look
		// as if it were whole.
		if err := host.SetLinger(0); err != nil {
			s.log.Debug("a connection has ended already", "err", err)
		}
		select {
		case s.slots <- struct{}{}:
			l.conns.Add(1)
			go s.serve(l, host)
		default:
			host.Close()
			s.warnFull(l)
		}
	}
}

func (s *Set) warnFull(l *listening) {
	s.mu.Lock()
	again := time.Since(s.warned) > quiet
	if again {
		s.warned = time.Now()
	}
	s.mu.Unlock()
	if again {
		s.log.Warn("connections to the VM are refused: too many are open", "most", s.cfg.MaxConns, "forward", l.String())
	}
}

// serve carries one connection from its beginning to its end.
func (s *Set) serve(l *listening, host *net.TCPConn) {
	defer func() {
		l.conns.Add(-1)
		<-s.slots
	}()
	defer host.Close()
	ctx, cancel := context.WithTimeout(s.life, s.cfg.DialTimeout)
	guest, err := s.dial(ctx, l.GuestPort)
	cancel()
	if err != nil {
		s.log.Debug("a connection did not reach the guest", "forward", l.String(), "err", err)
		return
	}
	if err := carry(s.life, host, guest); err != nil {
		s.log.Debug("a connection broke", "forward", l.String(), "err", err)
	}
}

// carry copies both ways until both have ended, each for itself. Where one
// breaks, or ctx ends, both ends are reset.
func carry(ctx context.Context, host *net.TCPConn, guest Conn) error {
	cut := sync.OnceFunc(func() {
		host.Close()
		guest.Close()
	})
	defer context.AfterFunc(ctx, cut)()
	var sent error
	var both sync.WaitGroup
	both.Go(func() {
		_, sent = io.Copy(guest, host)
		if sent == nil {
			sent = guest.CloseWrite()
		}
		if errors.Is(sent, syscall.EPIPE) {
			sent = nil // it takes no more; what it says may still come
		}
		if sent != nil {
			cut()
		}
	})
	_, received := io.Copy(host, guest)
	if received == nil {
		received = host.CloseWrite()
	}
	if received != nil {
		cut()
	}
	both.Wait()
	err := errors.Join(sent, received)
	if err == nil && ctx.Err() == nil { // all is said: an end in good order
		err = errors.Join(host.SetLinger(-1), host.Close(), guest.Wait())
	}
	cut()
	return err
}

package stack

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/assign"
)

// Carry carries the frames of a link until ctx is done or the link fails.
func (s *Stack) Carry(ctx context.Context, link network.Link) error {
	w := newWire(link.MTU())
	if !s.port.wire.CompareAndSwap(nil, w) {
		return errors.Join(errors.New("the guest's network has a link already"), link.Close())
	}
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		err := w.pump(link)
		link.Close() // ends the receiver
		sent <- err
	}()
	go s.beat(w)

	err := s.receive(link)
	s.port.wire.Store(nil)
	link.Close()
	close(w.quit)
	err = errors.Join(err, <-sent)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// receive takes what the guest sends, until the link fails.
func (s *Stack) receive(link network.Link) error {
	buf := make([]byte, network.MaxFrame)
	for {
		n, err := link.ReadFrame(buf)
		if err != nil {
			return err
		}
		if s.admit(buf[:n]) {
			s.port.deliver(buf[:n])
		}
	}
}

// beat tells the guest of its router, at once and again before it forgets it.
func (s *Stack) beat(w *wire) {
	tick := time.NewTicker(assign.Again)
	defer tick.Stop()
	for {
		s.port.frame(assign.Advertisement())
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
	}
}

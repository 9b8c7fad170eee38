package monitor

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

type rwc = io.ReadWriteCloser

// keepAgent follows the guest's agent: it gives it the identity as soon as it
// asks, and takes over what it tells, until ctx ends. One that boots would ask
// first of all, and is spared that.
func (m *Monitor) keepAgent(ctx context.Context, begin time.Time) {
	if s, _ := m.board.get(); s.ReadyMS == 0 && m.agent.Reach(ctx) == nil {
		if err := m.identify(ctx, begin); err != nil && ctx.Err() == nil {
			m.log.Debug("the agent did not take its identity unasked", "err", err)
		}
	}
	for ctx.Err() == nil {
		err := m.agent.Watch(ctx, func(h wire.Hello) error { return m.heard(ctx, h, begin) })
		if err != nil && ctx.Err() == nil {
			m.log.Debug("the agent's watch ended, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// heard takes over what the agent tells.
func (m *Monitor) heard(ctx context.Context, h wire.Hello, begin time.Time) error {
	if h.Phase == wire.PhaseIdentity {
		return m.identify(ctx, begin)
	}
	m.mu.Lock()
	again := m.hello.Phase == wire.PhaseHalted // its end is under way already
	m.hello = h
	mach := m.machine
	m.mu.Unlock()
	if h.Phase == wire.PhaseHalted && mach != nil && !again {
		grace := haltGrace
		if mach.Facts().Lingers && h.Halt == wire.HaltPoweroff {
			grace = lingerGrace
		}
		time.AfterFunc(grace, func() { m.endHalted(ctx, mach) })
	}
	m.keepStatus(m.board.update(func(s *machine.Status) { follow(s, h, ms(time.Since(begin))) }))
	return nil
}

// identify gives the guest its identity, and what is its user's own.
func (m *Monitor) identify(ctx context.Context, begin time.Time) error {
	id := m.launch.Identity
	id.Time, id.Entropy = time.Now(), make([]byte, 64)
	rand.Read(id.Entropy)
	var err error
	if id.Auth, err = m.auth(); err != nil { // the daemon writes it again, and tells us
		m.log.Warn("what the guest's user is to have cannot be read", "err", err)
		id.Auth = nil
	}
	h, err := m.agent.SetIdentity(ctx, id)
	if id.Auth != nil && fault.KindOf(err) == fault.Invalid { // an older agent takes no more than 64 KiB
		m.log.Warn("the guest did not take its identity, trying again without what is its user's", "err", err)
		id.Auth = nil
		h, err = m.agent.SetIdentity(ctx, id)
	}
	if err != nil || h.Phase == wire.PhaseIdentity { // as no agent of ours would answer
		return err
	}
	return m.heard(ctx, h, begin)
}

// endHalted ends a VMM that its halted guest did not.
func (m *Monitor) endHalted(ctx context.Context, mach vmm.Machine) {
	if ctx.Err() != nil {
		return
	}
	m.log.Info("ending the VMM of a halted guest")
	if err := mach.Kill(ctx); err != nil && ctx.Err() == nil {
		m.log.Error("ending the VMM of a halted guest failed", "err", err)
	}
}

// follow brings a status up to what the agent says.
func follow(s *machine.Status, h wire.Hello, elapsed float64) {
	s.Guest = h
	switch h.Phase {
	case wire.PhaseReady, wire.PhaseSystem:
		if s.ReadyMS == 0 {
			s.ReadyMS = elapsed
		}
		if h.Phase == wire.PhaseSystem && s.SystemMS == 0 {
			s.SystemMS = elapsed
		}
		if s.Phase == machine.PhaseStarting {
			s.Phase = machine.PhaseRunning
		}
	case wire.PhaseStopping, wire.PhaseHalted:
		s.Phase = machine.PhaseStopping
	}
}

// shutDown asks the guest to power off, as soon as its agent answers. One that a
// user paused goes on for that.
func (m *Monitor) shutDown(ctx context.Context) {
	m.mu.Lock()
	if m.asked == "" {
		m.asked = machine.ExitStopped
	}
	m.mu.Unlock()
	m.board.update(func(s *machine.Status) {
		if s.Phase != machine.PhasePaused {
			s.Phase = machine.PhaseStopping
		}
	})
	for ctx.Err() == nil {
		err := m.unheld(ctx)
		if err == nil {
			_, err = m.board.wait(ctx, func(s machine.Status) bool { return s.ReadyMS > 0 })
		}
		if err == nil {
			err = m.agent.Power(ctx, wire.HaltPoweroff)
		}
		if err == nil || errors.Is(err, context.Canceled) {
			return
		}
		m.log.Warn("asking the guest to power off failed, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

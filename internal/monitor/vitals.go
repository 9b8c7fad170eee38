package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

func (m *Monitor) handlePing(ctx context.Context, req control.WaitRequest) (control.Pong, error) {
	begin := time.Now()
	_, err := askAgent(ctx, m, req, m.agent.Hello)
	return control.Pong{MS: ms(time.Since(begin))}, err
}

func (m *Monitor) handleHealth(ctx context.Context, req control.WaitRequest) (wire.Health, error) {
	return askAgent(ctx, m, req, m.agent.Health)
}

// askAgent makes a call of a guest that is up, for as long as the request says.
func askAgent[T any](ctx context.Context, m *Monitor, req control.WaitRequest, call func(context.Context) (T, error)) (answer T, err error) {
	if err := m.guestUp(); err != nil {
		return answer, err
	}
	return inTime(ctx, m, req, "the guest's agent", call)
}

// inTime makes a call that may hang, as what it asks is somebody else's.
func inTime[T any](ctx context.Context, m *Monitor, req control.WaitRequest, who string, call func(context.Context) (T, error)) (T, error) {
	wait := time.Duration(req.WaitMS) * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := call(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		m.log.Debug("a call was given up", "of", who, "err", err)
		err = fault.New(fault.Deadline, "See what it says with: banger logs.", "%s did not answer within %s", who, wait)
	}
	return answer, err
}

// guestUp says why the agent need not be asked.
func (m *Monitor) guestUp() error {
	s, _ := m.board.get()
	switch {
	case s.Phase == machine.PhaseExited:
		return fault.New(fault.Precondition, "See why with: banger inspect.", "the VM has ended")
	case s.Phase == machine.PhasePaused:
		hint := "See why with: banger inspect " + m.launch.Spec.Name
		if s.Held {
			hint = "Let it go on with: banger resume " + m.launch.Spec.Name
		}
		return fault.New(fault.Precondition, hint, "the VM is paused")
	case s.ReadyMS == 0:
		return fault.New(fault.Unavailable, "Try again in a moment.", "the guest is still booting")
	}
	return nil
}

// handleCounts asks the VMM and the guest at once, as either may hang.
func (m *Monitor) handleCounts(ctx context.Context, req control.WaitRequest) (machine.Counts, error) {
	m.mu.Lock()
	mach := m.machine
	m.mu.Unlock()
	var c machine.Counts
	var vmmErr, guestErr error
	var parts sync.WaitGroup
	if meter, ok := mach.(vmm.Meter); ok {
		parts.Go(func() {
			var s vmm.Stats
			if s, vmmErr = inTime(ctx, m, req, "the VMM", meter.Stats); vmmErr == nil {
				c.VMM = &s
			}
		})
	}
	parts.Go(func() {
		var h wire.Health
		if h, guestErr = askAgent(ctx, m, req, m.agent.Health); guestErr == nil {
			c.Guest = &h
		}
	})
	parts.Wait()
	if m.launch.Spec.Network.Backend == network.BackendFrames {
		t := m.traffic.Traffic()
		c.Traffic = &t
	}
	for _, err := range []error{guestErr, vmmErr} {
		if err != nil {
			c.Missing = append(c.Missing, err.Error())
		}
	}
	return c, ctx.Err()
}

package monitor

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// resumeRoom is the room that the VM's disk needs before a VM that was paused
// by a full one goes on, in bytes.
const resumeRoom = 64 << 20

// keepEvents follows what the VMM reports until it ends.
func (m *Monitor) keepEvents(ctx context.Context, mach vmm.Machine) {
	for e := range mach.Events() {
		m.log.Info("the VMM reports", "event", e.Type, "reason", e.Reason)
		switch e.Type {
		case vmm.EventPaused:
			m.paused(ctx, mach, e.Reason)
		case vmm.EventResumed:
			m.board.update(func(s *machine.Status) {
				if s.Phase == machine.PhasePaused {
					s.Phase, s.Reason = m.runningPhase(*s), ""
				}
			})
		}
	}
}

func (m *Monitor) runningPhase(s machine.Status) machine.Phase {
	switch {
	case m.stop.Load():
		return machine.PhaseStopping
	case s.ReadyMS > 0:
		return machine.PhaseRunning
	}
	return machine.PhaseStarting
}

// paused tells why the VMM stopped its guest; after a full disk it goes on as
// soon as there is room again.
func (m *Monitor) paused(ctx context.Context, mach vmm.Machine, reason string) {
	text := "a disk of the VM failed; look at the host's kernel log, then stop or kill it"
	switch reason {
	case vmm.PauseNoSpace:
		text = "the host's disk is full; make room and the VM goes on by itself, with nothing lost"
	case vmm.PauseAsked:
		text = "it was paused on request"
	}
	m.board.update(func(s *machine.Status) { s.Phase, s.Reason = machine.PhasePaused, text })
	if reason == vmm.PauseNoSpace && !m.resuming.Swap(true) {
		go func() {
			defer m.resuming.Store(false)
			m.resumeWithRoom(ctx, mach)
		}()
	}
}

func (m *Monitor) resumeWithRoom(ctx context.Context, mach vmm.Machine) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if free, err := vmm.Room(m.launch.Spec.Dir); err != nil || free < resumeRoom {
			continue
		}
		if err := mach.Resume(ctx); err != nil {
			m.log.Warn("the VM did not go on", "err", err)
			continue
		}
		return
	}
}

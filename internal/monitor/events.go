package monitor

import (
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// keepEvents follows what the VMM reports until it ends.
func (m *Monitor) keepEvents(mach vmm.Machine) {
	for e := range mach.Events() {
		m.log.Info("the VMM reports", "event", e.Type, "reason", e.Reason)
		switch e.Type {
		case vmm.EventPaused:
			m.paused(e.Reason)
		case vmm.EventResumed:
			m.resumed()
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

package vm

import "github.com/banger-vm/banger/internal/machine"

// news is an event in the making.
type news struct{ kind, message string }

// whatIsNew tells what has happened to a machine between two of its statuses.
func whatIsNew(old, next machine.Status) (all []news) {
	if old.MonitorPID != next.MonitorPID {
		all = append(all, news{"vm.adopted", "a new monitor took the running VM over"})
	}
	if next.Reboots > old.Reboots {
		all = append(all, news{"vm.rebooted", "the guest rebooted"})
		old.Phase, old.SystemMS = machine.PhaseStarting, 0 // so what it reaches now is new
	}
	switch {
	case old.Phase == next.Phase:
	case next.Phase == machine.PhasePaused:
		all = append(all, news{"vm.paused", next.Reason})
	case old.Phase == machine.PhasePaused && (next.Phase == machine.PhaseRunning || next.Phase == machine.PhaseStarting):
		all = append(all, news{"vm.resumed", "it goes on"})
	case next.Phase == machine.PhaseRunning:
		all = append(all, news{"vm.running", ""})
	}
	if next.SystemMS > 0 && old.SystemMS == 0 {
		all = append(all, news{"vm.system_ready", ""})
	}
	return all
}

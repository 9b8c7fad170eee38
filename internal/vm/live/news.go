package live

import (
	"fmt"
	"slices"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
)

// News is an event in the making.
type News struct{ Type, Message string }

// whatIsNew tells what has happened to a machine between two of its statuses.
func whatIsNew(old, next machine.Status) (all []News) {
	if old.MonitorPID != next.MonitorPID {
		all = append(all, News{"vm.adopted", "a new monitor took the running VM over"})
	}
	if next.Reboots > old.Reboots {
		all = append(all, News{"vm.rebooted", "the guest rebooted"})
		old.Phase, old.SystemMS = machine.PhaseStarting, 0 // so what it reaches now is new
	}
	switch {
	case old.Phase == next.Phase:
	case next.Phase == machine.PhasePaused:
		all = append(all, News{"vm.paused", next.Reason})
	case old.Phase == machine.PhasePaused && (next.Phase == machine.PhaseRunning || next.Phase == machine.PhaseStarting):
		all = append(all, News{"vm.resumed", "it goes on"})
	case next.Phase == machine.PhaseRunning:
		all = append(all, News{"vm.running", ""})
	}
	if next.SystemMS > 0 && old.SystemMS == 0 {
		all = append(all, News{"vm.system_ready", ""})
	}
	return append(all, forwardNews(old.Forwards, next.Forwards)...)
}

// forwardNews tells which ports are opened and closed.
func forwardNews(old, next []forward.Status) (all []News) {
	for _, s := range old {
		if s.Error == "" && !slices.Contains(next, s) {
			all = append(all, News{"vm.forward_closed", s.Open() + " is closed"})
		}
	}
	for _, s := range next {
		switch {
		case slices.Contains(old, s):
		case s.Error != "":
			all = append(all, News{"vm.forward_failed", s.Error + "; it is tried again"})
		case s.Auto:
			all = append(all, News{"vm.forward_opened", fmt.Sprintf("%s leads to port %d, where the guest listens now", s.Open(), s.GuestPort)})
		default:
			all = append(all, News{"vm.forward_opened", fmt.Sprintf("%s leads to port %d", s.Open(), s.GuestPort)})
		}
	}
	return all
}

package monitor

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// hearing is what a guest gets at least: a monitor that took an older boot over
// has to be told first that it is up.
const hearing = 5 * time.Second

// keepDeadline ends a guest that never answers. The time in which it was paused
// does not count.
func (m *Monitor) keepDeadline(ctx context.Context, mach vmm.Machine, begin time.Time) {
	if m.launch.BootTimeoutMS <= 0 {
		return
	}
	bound := time.Duration(m.launch.BootTimeoutMS) * time.Millisecond
	left := max(bound-time.Since(begin), min(bound, hearing))
	for {
		from := time.Now()
		bounded, cancel := context.WithTimeout(ctx, left)
		s, err := m.board.wait(bounded, func(s machine.Status) bool { return s.ReadyMS > 0 || s.Phase == machine.PhasePaused })
		cancel()
		switch {
		case ctx.Err() != nil, err == nil && s.ReadyMS > 0:
			return
		case err != nil:
			m.log.Warn("the guest did not answer in time, ending its VMM", "after_ms", m.launch.BootTimeoutMS)
			m.end(ctx, mach, machine.ExitBootTimeout)
			return
		}
		left = max(left-time.Since(from), 0)
		if _, err := m.board.wait(ctx, func(s machine.Status) bool { return s.Phase != machine.PhasePaused }); err != nil {
			return
		}
	}
}

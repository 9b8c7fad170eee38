package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// errAlive says that a VMM runs, or may run, that this monitor has no hold of.
// Its end must not be written down: files would be deleted under it.
var errAlive = errors.New("the VMM may be running")

// The pauses between attempts to take hold of a VMM.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// adoptPatience is how long whoever asks for the status waits for that of the
// VMM that is being taken over.
const adoptPatience = 3 * time.Second

// takeUp brings the status of a monitor that has just taken a VMM over to what
// the last one knew of it; what follows is for the guest and the VMM to say.
func takeUp(s *machine.Status, f vmm.Facts) {
	s.VMM = f
	switch s.Guest.Phase {
	case wire.PhaseStopping, wire.PhaseHalted:
		s.Phase = machine.PhaseStopping
	case wire.PhaseReady, wire.PhaseSystem:
		if s.ReadyMS > 0 {
			s.Phase = machine.PhaseRunning
		}
	}
}

// runToEnd keeps the VM until its VMM is known to be gone, however often it
// takes to get hold of it. A kill meanwhile ends it as soon as there is a hold.
func (m *Monitor) runToEnd(ctx context.Context, adopt bool) (machine.Exit, error) {
	exit, err := m.run(ctx, adopt)
	for wait := firstRetry; errors.Is(err, errAlive) && ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		m.isKnown()
		m.log.Error("the VMM cannot be reached, trying again", "err", err, "in", wait)
		m.board.update(func(s *machine.Status) {
			s.Reason = fmt.Sprintf("its VMM cannot be reached, trying again: %v", err)
		})
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		exit, err = m.run(ctx, true)
	}
	return exit, err
}

// awaitEnd waits for the end of the VMM. An error is no end: it asks again
// until ctx is done.
func (m *Monitor) awaitEnd(ctx context.Context, mach vmm.Machine) (vmm.Exit, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		exit, err := mach.Wait(ctx)
		if err == nil || ctx.Err() != nil {
			return exit, err
		}
		m.log.Error("waiting for the VMM failed, trying again", "err", err, "in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

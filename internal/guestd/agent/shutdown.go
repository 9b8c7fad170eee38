package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/power"
)

const (
	// askAgain: an init that has only just been executed loses a signal.
	askAgain = time.Second
	// lookAgain is how often an init that is to come, and the disks under one
	// that tells nothing, are looked at.
	lookAgain = 100 * time.Millisecond
)

// shutDown asks for the shutdowns that the host wants, and again until one
// begins, and notices the end under an init that does not tell of it.
func (a *Agent) shutDown(ctx context.Context) error {
	var asked wire.Halt
	var again, look <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case asked = <-a.shutdowns:
			again = time.After(0)
		case <-again:
			if h, _, _ := a.state.get(); h.Phase == wire.PhaseStopping || h.Phase == wire.PhaseHalted {
				again = nil
				continue
			}
			err := a.cfg.Ask(asked)
			if errors.Is(err, power.ErrStarting) {
				again = time.After(lookAgain)
				continue
			}
			if err != nil {
				a.log.Warn("asking for the shutdown failed", "err", err)
				a.state.note(fmt.Sprintf("the shutdown could not begin: %v", err))
			}
			again = time.After(askAgain)
			if a.cfg.Boot.Init == power.Busybox || a.cfg.Boot.Init == power.Other {
				a.stopping()
				look = time.Tick(lookAgain)
			}
		case <-look:
			if done, err := power.Flushed(); err == nil && done {
				look = nil
				a.halted(asked)
			}
		}
	}
}

package firecracker

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// Firecracker tells a guest of a full disk of the host's as a failed write,
// after which a root with a COW layer is lost. So the guest is paused before.
const (
	// spaceReserve is what is left, in bytes, when a guest is paused; whoever
	// resumes one waits for more.
	spaceReserve = 32 << 20
	// fillRate is the most that is believed to be written in a second, in bytes.
	fillRate = 1 << 30
	// How long until the room is looked at again.
	spaceSoonest, spaceLatest = 20 * time.Millisecond, 2 * time.Second
)

// room is the least that any drive that the guest writes to has left.
func (m *machine) room() (int64, error) {
	least := int64(1 << 62)
	for _, d := range m.spec.Drives {
		if d.ReadOnly {
			continue
		}
		free, err := m.driver.free(precheck.DrivePath(m.spec, d))
		if err != nil {
			return 0, err
		}
		least = min(least, free)
	}
	return least, nil
}

// keepRoom pauses the guest whenever its drives could grow beyond the host's
// disk, until the VMM is gone or let go. Who owns the machine resumes it.
func (m *machine) keepRoom() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		<-m.ended
	}()
	warned := false
	for timer := time.NewTimer(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		free, err := m.room()
		if err == nil && free < spaceReserve {
			err = m.pauseFull(ctx)
		}
		if err != nil && !warned && ctx.Err() == nil {
			warned = true
			m.log.Warn("the guest is not kept from filling the host's disk", "name", m.spec.Name, "err", err)
		}
		timer.Reset(nextLook(free))
	}
}

// nextLook is how long the room that is there lasts at the least.
func nextLook(free int64) time.Duration {
	lasts := time.Duration(float64(free-spaceReserve) / fillRate * float64(time.Second))
	return min(max(lasts/2, spaceSoonest), spaceLatest)
}

// pauseFull pauses a guest that runs.
func (m *machine) pauseFull(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bringUp)
	defer cancel()
	return m.pause(ctx, vmm.PauseNoSpace)
}

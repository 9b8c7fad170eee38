package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/machine"
)

// versionGap is more changes than a monitor makes without writing its status down.
const versionGap = 1 << 20

// board is the status that everybody in the monitor writes and reads.
type board struct {
	mu      sync.Mutex // guards the following
	status  machine.Status
	changed chan struct{} // closed and replaced with every change
}

// newBoard numbers on from s and the clock, so that the versions of a later
// monitor of the same VM are greater than all of this one's.
func newBoard(s machine.Status) *board {
	s.Version = max(s.Version+versionGap, uint64(time.Now().UnixMicro()))
	return &board{status: s, changed: make(chan struct{})}
}

// update changes the status and wakes those that wait.
func (b *board) update(change func(*machine.Status)) machine.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
	b.status.Version++
	close(b.changed)
	b.changed = make(chan struct{})
	return b.status
}

func (b *board) get() (machine.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.changed
}

// wait returns the first status that satisfies ok, or the last one at ctx's end.
func (b *board) wait(ctx context.Context, ok func(machine.Status) bool) (machine.Status, error) {
	for {
		s, changed := b.get()
		if ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// Package claim lets one action at a time change a thing. A claim is taken
// without blocking, or waited for by a caller that holds nothing; so no order
// of locks exists that could be got wrong.
package claim

import (
	"context"
	"sync"

	"github.com/banger-vm/banger/internal/fault"
)

// Holder is who holds a claim.
type Holder struct {
	Operation string // its ID
	Kind      string // for instance "vm.start"
	Name      string // the target's, for people; may be empty
	// Cancel asks the holder to give up; it may be called more than once. Nil
	// if it cannot.
	Cancel func()
}

// Table is who holds what.
type Table struct {
	mu   sync.Mutex // leaf: never held while calling out
	held map[string]*held
}

type held struct {
	Holder
	done chan struct{}
}

// NewTable returns a table without claims.
func NewTable() *Table { return &Table{held: map[string]*held{}} }

// TryClaim claims target, or returns a fault.Busy with the ID of the operation
// in the way. release may be called more than once.
func (t *Table) TryClaim(target string, h Holder) (release func(), err error) {
	release, other := t.take(target, h)
	if other != nil {
		return nil, Busy(target, other.Holder)
	}
	return release, nil
}

// Holder returns who holds target.
func (t *Table) Holder(target string) (Holder, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[target]; h != nil {
		return h.Holder, true
	}
	return Holder{}, false
}

// Wait returns once the claim that is on target now has been released. The
// caller must hold no claim.
func (t *Table) Wait(ctx context.Context, target string) error {
	t.mu.Lock()
	h := t.held[target]
	t.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.wait(ctx)
}

// Preempt cancels whoever holds target, waits for its end and claims target.
// A holder of the same kind is left to finish: two that want the same thing
// do not cancel each other. The caller must hold no claim.
func (t *Table) Preempt(ctx context.Context, target string, h Holder) (release func(), err error) {
	for {
		release, other := t.take(target, h)
		if other == nil {
			return release, nil
		}
		if other.Cancel != nil && other.Kind != h.Kind {
			other.Cancel()
		}
		if err := other.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// Busy is the fault that says that h is in the way on target.
func Busy(target string, h Holder) *fault.Error {
	if h.Name != "" {
		target = h.Name
	}
	err := fault.New(fault.Busy,
		"Wait for it (banger op show "+h.Operation+") or cancel it (banger op cancel "+h.Operation+").",
		"%s is under way on %s", h.Kind, target)
	err.Operation = h.Operation
	return err
}

func (t *Table) take(target string, h Holder) (release func(), other *held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.held[target]; other != nil {
		return nil, other
	}
	mine := &held{Holder: h, done: make(chan struct{})}
	t.held[target] = mine
	return sync.OnceFunc(func() {
		t.mu.Lock()
		delete(t.held, target)
		t.mu.Unlock()
		close(mine.done)
	}), nil
}

func (h *held) wait(ctx context.Context) error {
	select {
	case <-h.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

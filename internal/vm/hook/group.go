package hook

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

// lastMoment is how long hooks that were told to end are waited for: what they
// work on may be taken away next.
const lastMoment = 2 * time.Second

// group is the hooks of one point of one operation.
type group struct {
	set   *Set
	id    string
	vm    *VM // nil: the owner knows
	hooks []named
	// brought is what the operation's request brought, by capability.
	brought map[string]string

	once   sync.Once
	first  error // why none could begin
	ends   []chan error
	cancel context.CancelFunc
	busy   sync.WaitGroup // hooks that have not returned
}

func newGroup(s *Set, id string, hooks []named, brought map[string]string) *group {
	g := &group{set: s, id: id, hooks: hooks, brought: brought, cancel: func() {}}
	for range hooks {
		g.ends = append(g.ends, make(chan error, 1))
	}
	return g
}

// await returns when hook i has ended, with an error if that is the operation's.
func (g *group) await(ctx context.Context, i int) error {
	err := g.result(ctx, i)
	if ctx.Err() != nil {
		g.leave()
		return context.Cause(ctx)
	}
	h := g.hooks[i]
	if err != nil && h.Essential {
		g.leave()
		return err
	}
	if i == len(g.hooks)-1 {
		g.cancel() // of those that were left behind
	}
	if !h.Essential {
		g.set.owner.HookEnded(ctx, g.id, End{Capability: h.of, Step: h.step, Brought: g.brought[h.of] != "", Err: err})
	}
	return nil
}

// result returns how hook i ended; it begins all from i on where none has.
func (g *group) result(ctx context.Context, i int) error {
	g.once.Do(func() { g.begin(ctx, i) })
	if g.first != nil {
		return g.first
	}
	select {
	case err := <-g.ends[i]:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *group) begin(ctx context.Context, from int) {
	vm := g.vm
	if vm == nil {
		known, err := g.set.owner.HookedVM(ctx, g.id)
		if err != nil {
			g.first = err
			return
		}
		vm = &known
	}
	ctx, g.cancel = context.WithCancel(ctx)
	g.busy.Add(len(g.hooks) - from)
	for i := from; i < len(g.hooks); i++ {
		go g.bounded(ctx, i, *vm)
	}
}

// bounded runs a hook to its end or its deadline.
func (g *group) bounded(ctx context.Context, i int, vm VM) {
	h := g.hooks[i]
	limit := h.Deadline
	if limit == 0 {
		limit = DefaultDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer g.busy.Done()
		ended <- g.guarded(ctx, h, vm)
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fault.New(fault.Deadline, "Try again with a stop and a start of the VM.", "it did not end within %s", limit)
	}
	g.ends[i] <- err
}

// guarded turns a panic into an error: a bad hook must not end the daemon.
func (g *group) guarded(ctx context.Context, h named, vm VM) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.set.log.Error("panic", "in", h.step, "vm", g.id, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s panicked: %v", h.step, p)
		}
	}()
	vm.Brought = g.brought[h.of]
	return h.Do(ctx, vm)
}

// leave tells the hooks to end, and gives them a moment for that.
func (g *group) leave() {
	g.cancel()
	gone := make(chan struct{})
	go func() {
		g.busy.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(lastMoment):
		g.set.log.Warn("a hook that was told to end has not", "vm", g.id)
	}
}

package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// capability is one with the hooks that a test gives it.
type capability struct {
	name  string
	hooks []Hook
}

func (c capability) Name() string  { return c.name }
func (c capability) Hooks() []Hook { return c.hooks }

// ready is a capability with a hook at Ready.
func ready(name string, h Hook) capability {
	h.At = Ready
	return capability{name, []Hook{h}}
}

// owner has one VM, and writes down how hooks ended.
type owner struct {
	mu    sync.Mutex
	ended map[string]string
	err   error
}

func (o *owner) HookedVM(_ context.Context, id string) (VM, error) {
	return VM{ID: id, Name: "dev"}, o.err
}

func (o *owner) HookEnded(_ context.Context, _ string, end End) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if end.Step != string(Ready)+": "+end.Capability {
		o.err = fmt.Errorf("%q is no step of %q", end.Step, end.Capability)
	}
	o.ended[end.Step] = fmt.Sprint(end.Err)
}

func newOwner() *owner { return &owner{ended: map[string]string{}} }

func set(o *owner, all ...Capability) *Set { return NewSet(o, slog.New(slog.DiscardHandler), all) }

// run does steps as an operation does.
func run(ctx context.Context, steps []operation.Step) error {
	for _, s := range steps {
		if err := s.Do(ctx, func(operation.Progress) {}); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// Hooks that hang, whether they heed their context or not, that fail and that
// panic are told of by name, and cost the others nothing.
func TestNoHookKeepsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, release := newOwner(), make(chan struct{})
		var well time.Duration
		begin := time.Now()
		s := set(
			o,
			ready("deaf", Hook{Deadline: 3 * time.Second, Do: func(context.Context, VM) error { <-release; return nil }}),
			ready("slow", Hook{Do: func(ctx context.Context, _ VM) error { <-ctx.Done(); return context.Cause(ctx) }}),
			ready("broken", Hook{Do: func(context.Context, VM) error { return errors.New("it is broken") }}),
			ready("bad", Hook{Do: func(context.Context, VM) error { panic("oh") }}),
			ready("well", Hook{Do: func(_ context.Context, vm VM) error {
				well = time.Since(begin)
				if vm.ID != "1" || vm.Name != "dev" {
					return fmt.Errorf("it is for %+v", vm)
				}
				return nil
			}}),
			capability{"elsewhere", []Hook{{At: Create, Do: func(context.Context, VM) error { return errors.New("not at this point") }}}},
		)
		steps := s.Steps(Ready, "1", nil)
		var names []string
		for _, step := range steps {
			names = append(names, step.Name)
		}
		if want := []string{"ready: deaf", "ready: slow", "ready: broken", "ready: bad", "ready: well"}; !slices.Equal(names, want) {
			t.Errorf("the steps are %q", names)
		}
		if err := run(t.Context(), steps); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != DefaultDeadline {
			t.Errorf("together they took %s", took)
		}
		if well != 0 {
			t.Errorf("one waited %s for others", well)
		}
		want := map[string]string{
			"ready: deaf": "it did not end within 3s", "ready: slow": "it did not end within 10s", "ready: broken": "it is broken",
			"ready: bad": "ready: bad panicked: oh", "ready: well": "<nil>",
		}
		if !maps.Equal(o.ended, want) {
			t.Errorf("%q", o.ended)
		}
		close(release)
	})
}

// The failure of an essential hook is the operation's, by its kind; the others
// have ended by then, or had their chance to.
func TestEssentialHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, ended := newOwner(), false
		s := set(o,
			ready("needed", Hook{Essential: true, Deadline: time.Second, Do: func(ctx context.Context, _ VM) error { <-ctx.Done(); return context.Cause(ctx) }}),
			ready("other", Hook{Do: func(ctx context.Context, _ VM) error { <-ctx.Done(); ended = true; return nil }}))
		err := run(t.Context(), s.Steps(Ready, "1", nil))
		if fault.KindOf(err) != fault.Deadline || !strings.HasPrefix(err.Error(), "ready: needed: it did not end within 1s") || !ended {
			t.Errorf("%v; the other has ended: %v", err, ended)
		}
	})
}

// A cancel ends them, and a hook that is deaf to it is not waited for longer
// than a moment.
func TestCancelledHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		s := set(newOwner(),
			ready("deaf", Hook{Do: func(context.Context, VM) error { <-release; return nil }}),
			ready("late", Hook{Do: func(context.Context, VM) error { return nil }}))
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		if err := run(ctx, s.Steps(Ready, "1", nil)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Second+lastMoment {
			t.Errorf("it took %s", took)
		}
		close(release)
	})
}

// An operation that goes on at a later step does not repeat the earlier hooks.
func TestResumedInTheMiddle(t *testing.T) {
	var mu sync.Mutex
	did := map[string]int{}
	count := func(name string) capability {
		return ready(name, Hook{Do: func(context.Context, VM) error {
			mu.Lock()
			defer mu.Unlock()
			did[name]++
			return nil
		}})
	}
	s := set(newOwner(), count("a"), count("b"), count("c"))
	if err := run(t.Context(), s.Steps(Ready, "1", nil)[1:]); err != nil {
		t.Error(err)
	}
	if !maps.Equal(did, map[string]int{"b": 1, "c": 1}) {
		t.Errorf("%v", did)
	}
}

func TestVMIsNotKnown(t *testing.T) {
	o := newOwner()
	o.err = errors.New("the store is gone")
	s := set(o, ready("a", Hook{Essential: true, Do: func(context.Context, VM) error { return nil }}))
	if err := run(t.Context(), s.Steps(Ready, "1", nil)); !errors.Is(err, o.err) {
		t.Error(err)
	}
}

// Without an operation all are run, and all errors are told.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	var got []string
	end := func(name string, err error) capability {
		return capability{name, []Hook{{At: Delete, Do: func(_ context.Context, vm VM) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, name+" "+vm.Dir)
			return err
		}}}}
	}
	s := set(newOwner(), end("a", errors.New("one")), end("b", nil), end("c", errors.New("three")))
	err := s.Run(t.Context(), Delete, VM{ID: "1", Dir: "/d"}, nil)
	slices.Sort(got)
	if err == nil || err.Error() != "one\nthree" || !slices.Equal(got, []string{"a /d", "b /d", "c /d"}) {
		t.Errorf("%v, %q", err, got)
	}
}

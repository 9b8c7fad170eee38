package vm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// witness is a capability that writes down where it acts.
type witness struct {
	essential bool

	mu   sync.Mutex
	seen []string
	fail map[hook.Point]error
}

func (*witness) Name() string { return "witness" }

func (w *witness) Hooks() (all []hook.Hook) {
	for _, p := range []hook.Point{hook.Create, hook.PreStart, hook.Ready, hook.Delete, hook.GivenUp} {
		all = append(all, hook.Hook{At: p, Essential: w.essential, Do: func(_ context.Context, v hook.VM) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			text := string(p) + " " + v.Name
			if v.Brought != "" {
				text += " " + v.Brought
			}
			w.seen = append(w.seen, text)
			return w.fail[p]
		}})
	}
	return all
}

// took returns what it has seen since the last time.
func (w *witness) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.seen = nil }()
	return w.seen
}

func (w *witness) failing(p hook.Point, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = map[hook.Point]error{p: err}
}

func withWitness(t *testing.T, essential bool) (*rig, *witness) {
	t.Helper()
	w := &witness{essential: essential}
	return newRigWith(t, func(r *rig) { r.capabilities = []hook.Capability{w} }), w
}

func stepNames(rec operation.Record) (names []string) {
	for _, s := range rec.Steps {
		if strings.HasSuffix(s.Name, "witness") {
			names = append(names, s.Name+" "+string(s.State))
		}
	}
	return names
}

// A capability acts at each point of a VM's life, in steps that say its name.
func TestHooksActInSteps(t *testing.T) {
	r, w := withWitness(t, false)
	for _, c := range []struct {
		begin      func() (operation.Record, error)
		acts, says []string
	}{
		{
			func() (operation.Record, error) { return r.create(spec.VM{Name: "a"}, true) },
			[]string{"create a", "pre-start a", "ready a"},
			[]string{"create: witness done", "pre-start: witness done", "ready: witness done"},
		},
		{
			func() (operation.Record, error) { return r.vms.Restart(t.Context(), "a", 0, false, "") },
			[]string{"pre-start a", "ready a"},
			[]string{"pre-start: witness done", "ready: witness done"},
		},
		{
			func() (operation.Record, error) { return r.vms.Delete(t.Context(), "a", true, "") },
			[]string{"delete a"},
			[]string{"delete: witness done"},
		},
	} {
		rec := r.done(c.begin())
		if got := w.took(); rec.State != operation.Succeeded || !slices.Equal(got, c.acts) || !slices.Equal(stepNames(rec), c.says) {
			t.Errorf("%s %s: %q in %q", rec.Kind, rec.State, got, stepNames(rec))
		}
	}
}

// What a hook could not give is told, and seen until it succeeds; the VM runs.
func TestFailedHookIsSeen(t *testing.T) {
	r, w := withWitness(t, false)
	w.failing(hook.Ready, errors.New("there is no such thing"))
	r.ok(r.create(spec.VM{Name: "a"}, true))
	const sentence = `The step "ready: witness" failed: there is no such thing.`
	reduced := func() []string {
		v, err := r.vms.Inspect(t.Context(), "a")
		if err != nil || v.State != vm.Running {
			t.Errorf("%s, %v", v.State, err)
		}
		return v.Reduced
	}
	if !slices.Contains(reduced(), sentence) {
		t.Errorf("%q", reduced())
	}
	if told := r.told("a"); !slices.Contains(told, "hook_failed") {
		t.Errorf("%q", told)
	}
	r.close()
	r.open() // another daemon knows it too
	if !slices.Contains(reduced(), sentence) {
		t.Errorf("%q", reduced())
	}
	w.failing(hook.Ready, nil)
	r.ok(r.vms.Restart(t.Context(), "a", 0, false, ""))
	if slices.Contains(reduced(), sentence) {
		t.Errorf("it is still seen: %q", reduced())
	}
}

// What was not given when the VM was made is lacked until something is given in
// its place: no start without that mends it.
func TestLackIsMended(t *testing.T) {
	r, w := withWitness(t, false)
	w.failing(hook.Create, errors.New("there is no such thing"))
	r.ok(r.create(spec.VM{Name: "a"}, true))
	lacks := func() bool {
		t.Helper()
		v, err := r.vms.Inspect(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(v.Reduced, ""), "there is no such thing")
	}
	if !lacks() {
		t.Error("its start has mended it")
	}
	r.ok(r.vms.Restart(t.Context(), "a", 0, false, ""))
	if !lacks() {
		t.Error("a restart has mended it")
	}
	r.ok(r.vms.Boot(t.Context(), "a", vm.Start{}, "", vm.Given{For: "witness", Put: func(context.Context, string) (string, func(), error) {
		return "there", func() {}, nil
	}}))
	if lacks() {
		t.Error("it is still lacked")
	}
}

// The failure of an essential hook takes the start back.
func TestEssentialHookFailsTheStart(t *testing.T) {
	r, w := withWitness(t, true)
	w.failing(hook.Ready, fault.New(fault.Precondition, "Do something.", "it must not be"))
	rec := r.done(r.create(spec.VM{Name: "a"}, true))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Precondition || rec.Error.Message != "it must not be" {
		t.Errorf("%s: %+v", rec.State, rec.Error)
	}
	if state, _ := r.state("a"); state != vm.Stopped || r.host.Running() != 0 {
		t.Errorf("it is %s, %d run", state, r.host.Running())
	}
}

// A start that fails tells the hooks.
func TestHooksOfAStartThatIsGivenUp(t *testing.T) {
	r, w := withWitness(t, false)
	r.ok(r.create(spec.VM{Name: "a"}, false))
	w.took()
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("no VMM") }
	rec := r.done(r.vms.Boot(t.Context(), "a", vm.Start{}, ""))
	if got := w.took(); rec.State != operation.Failed || !slices.Equal(got, []string{"pre-start a", "given up "}) {
		t.Errorf("%s: %q", rec.State, got)
	}
}

// A VM that was not made leaves nothing with its capabilities, nor with who
// brought something for it.
func TestHooksOfAVMThatIsNotMade(t *testing.T) {
	r, w := withWitness(t, false)
	r.parts.failWork = errors.New("there is no room")
	var taken []string
	bring := vm.Given{For: "witness", Put: func(context.Context, string) (string, func(), error) {
		taken = append(taken, "put")
		return "there", func() { taken = append(taken, "taken back") }, nil
	}}
	rec := r.done(r.vms.Create(t.Context(), spec.VM{Name: "a"}, vm.Creation{Start: true}, "", bring))
	if got := w.took(); rec.State != operation.Failed || !slices.Equal(got, []string{"given up  there", "delete  there"}) {
		t.Errorf("%s: %q", rec.State, got)
	}
	r.parts.failWork = nil
	r.ok(r.vms.Create(t.Context(), spec.VM{Name: "a"}, vm.Creation{}, "once", bring))
	r.ok(r.vms.Create(t.Context(), spec.VM{Name: "a"}, vm.Creation{}, "once", bring)) // the same, asked for again
	if want := []string{"put", "put"}; !slices.Equal(taken, want) {
		t.Errorf("%q", taken)
	}
	fail := errors.New("it does not fit")
	_, err := r.vms.Create(t.Context(), spec.VM{Name: "b"}, vm.Creation{}, "", bring, vm.Given{Put: func(context.Context, string) (string, func(), error) { return "", nil, fail }})
	if !errors.Is(err, fail) || taken[len(taken)-1] != "taken back" {
		t.Errorf("%v, %q", err, taken)
	}
}

// What comes with a start goes to the hooks of that very operation; a repeated
// request puts down nothing, wherever its VM is by now, and one beside it takes
// back what it put down.
func TestWhatComesWithAStart(t *testing.T) {
	r, w := withWitness(t, false)
	r.ok(r.create(spec.VM{Name: "a"}, false))
	w.took()
	var left []string
	bring := func(where string) vm.Given {
		return vm.Given{For: "witness", Put: func(context.Context, string) (string, func(), error) {
			left = append(left, where)
			return where, func() { left = slices.DeleteFunc(left, func(s string) bool { return s == where }) }, nil
		}}
	}
	beside := vm.Given{For: "other", Put: func(context.Context, string) (string, func(), error) {
		_, err := r.vms.Boot(t.Context(), "a", vm.Start{}, "once", bring("first"))
		return "x", func() {}, err
	}}
	first := r.done(r.vms.Boot(t.Context(), "a", vm.Start{}, "once", bring("second"), beside))
	if got := w.took(); !slices.Equal(got, []string{"pre-start a first", "ready a"}) || !slices.Equal(left, []string{"first"}) {
		t.Errorf("%q, left %q", got, left)
	}
	r.ok(r.vms.Restart(t.Context(), "a", 0, false, ""))
	if got := w.took(); !slices.Equal(got, []string{"pre-start a", "ready a"}) {
		t.Errorf("another operation has %q", got)
	}
	for _, then := range []func() (operation.Record, error){
		func() (operation.Record, error) { return r.vms.Rename(t.Context(), "a", "b", "") },
		func() (operation.Record, error) { return r.vms.Delete(t.Context(), "b", true, "") },
	} {
		r.ok(then())
		rec, err := r.vms.Boot(t.Context(), "a", vm.Start{}, "once", bring("again"))
		if err != nil || rec.ID != first.ID || !slices.Equal(left, []string{"first"}) {
			t.Errorf("%s instead of %s, left %q, %v", rec.ID, first.ID, left, err)
		}
	}
}

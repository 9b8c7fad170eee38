package vm_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// backward is a clock that is set back, as a capability at each point of a VM's
// life too, before whose starts it may fail.
type backward struct {
	by   atomic.Int64
	fail atomic.Bool
}

func (b *backward) now() time.Time { return time.Now().Round(0).Add(-time.Duration(b.by.Load())) }
func (b *backward) jump()          { b.by.Add(int64(time.Hour)) }

func (*backward) Name() string { return "backward" }

func (b *backward) Hooks() (all []hook.Hook) {
	for _, p := range []hook.Point{hook.Create, hook.PreStart, hook.Ready, hook.Delete} {
		all = append(all, hook.Hook{At: p, Essential: true, Do: func(context.Context, hook.VM) error {
			if p == hook.PreStart && b.fail.Load() {
				return errors.New("no key")
			}
			b.jump()
			return nil
		}})
	}
	return all
}

func newBackward(t *testing.T) (*rig, *backward) {
	b := &backward{}
	return newRigWith(t, func(r *rig) { r.now, r.capabilities = b.now, []hook.Capability{b} }), b
}

// A clock that is set back between operations and within them, over the daemon's
// end too, changes nothing of what they do, nor their order or that of events.
func TestClockIsSetBack(t *testing.T) {
	r, b := newBackward(t)
	r.host.StopHook = func(context.Context) error { b.jump(); return nil }
	r.host.LaunchHook = func(context.Context, machine.Launch) error { b.jump(); return nil }
	var kinds []string
	for _, do := range []struct {
		kind  string
		begin func() (operation.Record, error)
		then  vm.State // "": it is gone
	}{
		{vm.KindCreate, func() (operation.Record, error) { return r.create(spec.VM{Name: "dev"}, true) }, vm.Running},
		{vm.KindStop, func() (operation.Record, error) { return r.vms.Stop(t.Context(), "dev", 0, "") }, vm.Stopped},
		{vm.KindStart, func() (operation.Record, error) { return r.vms.Boot(t.Context(), "dev", vm.Start{}, "") }, vm.Running},
		{vm.KindRestart, func() (operation.Record, error) { return r.vms.Restart(t.Context(), "dev", 0, false, "") }, vm.Running},
		{vm.KindKill, func() (operation.Record, error) { return r.vms.Kill(t.Context(), "dev", "") }, vm.Stopped},
		{vm.KindDelete, func() (operation.Record, error) { return r.vms.Delete(t.Context(), "dev", false, "") }, ""},
	} {
		b.jump()
		r.ok(do.begin())
		kinds = append(kinds, do.kind)
		r.close()
		b.jump()
		r.open()
		if do.then == "" {
			break
		}
		if s, why := r.state("dev"); s != do.then {
			t.Fatalf("after %s: %s %q", do.kind, s, why)
		}
	}
	r.empty()
	ops, err := r.ops.List(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, op := range slices.Backward(ops) {
		listed = append(listed, op.Kind)
	}
	if !slices.Equal(listed, kinds) {
		t.Errorf("the operations are %q, were %q", listed, kinds)
	}
	events, _, _, err := r.events.Since(t.Context(), 0, "", 0)
	if err != nil || !slices.IsSortedFunc(events, func(a, b event.Event) int { return int(a.Seq) - int(b.Seq) }) {
		t.Errorf("%d events, %v", len(events), err)
	}
	var ended []string
	for _, e := range events {
		if e.Type == "op.finished" {
			ended = append(ended, e.Data.(operation.Record).Kind)
		}
	}
	if !slices.Equal(ended, kinds) {
		t.Errorf("ended %q, were %q", ended, kinds)
	}
}

// A pause in which the clock is set back is no longer than the longest.
func TestClockIsSetBackInAPause(t *testing.T) {
	r, b := newBackward(t)
	r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
	b.fail.Store(true)
	r.ends("dev", machine.ExitPanic)
	r.await("some tries", func() bool { c := r.view("dev").Comeback; return c != nil && c.Total >= 3 })
	b.jump()
	b.fail.Store(false)
	r.comesBack("dev")
}

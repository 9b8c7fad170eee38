package vm_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// Who restarts or resets a VM wants it to run: where its start comes to no boot,
// its policy goes on; one without a policy stays down, and so does one that a
// user had stopped before.
func TestStartThatFailsAfterAStop(t *testing.T) {
	for name, begin := range map[string]func(*rig) (operation.Record, error){
		"restart": func(r *rig) (operation.Record, error) { return r.vms.Restart(r.t.Context(), "dev", 0, false, "") },
		"reset":   func(r *rig) (operation.Record, error) { return r.reset("dev", true) },
	} {
		for _, policy := range []spec.Restart{"no", "on-failure", "always"} {
			t.Run(name+" "+string(policy), func(t *testing.T) {
				r, w := withWitness(t, true)
				r.ok(r.create(spec.VM{Name: "dev", Restart: policy}, true))
				w.failing(hook.PreStart, errors.New("no key"))
				if rec := r.done(begin(r)); rec.State != operation.Failed {
					t.Fatal(rec.State)
				}
				if policy == "no" {
					w.failing("", nil)
					r.staysDown("dev")
					return
				}
				r.await("tries", func() bool { b := r.view("dev").Comeback; return b != nil && b.Total >= 2 })
				w.failing("", nil)
				r.comesBack("dev")
			})
		}
	}
	t.Run("of one that was stopped", func(t *testing.T) {
		r, w := withWitness(t, true)
		r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
		r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
		w.failing(hook.PreStart, errors.New("no key"))
		if rec := r.done(r.vms.Restart(t.Context(), "dev", 0, false, "")); rec.State != operation.Failed {
			t.Fatal(rec.State)
		}
		w.failing("", nil)
		r.staysDown("dev")
	})
}

// A restart that is cancelled between its boots leaves the VM down, as a start
// that is cancelled does.
func TestCancelledRestartStaysDown(t *testing.T) {
	var armed atomic.Bool
	reached := make(chan struct{})
	held := capabilityFunc(func(ctx context.Context) error {
		if !armed.CompareAndSwap(true, false) {
			return nil
		}
		close(reached)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	r := newRigWith(t, func(r *rig) { r.capabilities = []hook.Capability{held} })
	r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
	armed.Store(true)
	rec, err := r.vms.Restart(t.Context(), "dev", 0, false, "")
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.done(rec, nil); rec.State != operation.Canceled {
		t.Fatal(rec.State)
	}
	r.staysDown("dev")
}

// capabilityFunc is one that acts before each start, and must succeed.
type capabilityFunc func(context.Context) error

func (capabilityFunc) Name() string { return "func" }

func (f capabilityFunc) Hooks() []hook.Hook {
	return []hook.Hook{{At: hook.PreStart, Essential: true, Do: func(ctx context.Context, _ hook.VM) error { return f(ctx) }}}
}

// A reset of a VM that waits out a pause of its policy does not end that.
func TestResetInAPause(t *testing.T) {
	r, w := withWitness(t, true)
	r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
	w.failing(hook.PreStart, errors.New("no key"))
	r.ends("dev", machine.ExitPanic)
	r.await("some tries", func() bool { b := r.view("dev").Comeback; return b != nil && b.Total >= 2 })
	var rec operation.Record
	r.await("a pause to reset it in", func() bool {
		var err error
		rec, err = r.reset("dev", true)
		if err != nil && fault.KindOf(err) != fault.Busy {
			t.Fatal(err)
		}
		return err == nil
	})
	r.ok(rec, nil)
	if v := r.view("dev"); v.Halted || v.Comeback == nil || v.Comeback.Total < 2 {
		t.Errorf("halted %v, %+v", v.Halted, v.Comeback)
	}
	w.failing("", nil)
	r.comesBack("dev")
}

// A start that nobody asked for does nothing to a VM that a user has stopped, be
// it just before the start has its claim.
func TestUnaskedStartOfAStoppedVM(t *testing.T) {
	r, w := withWitness(t, false)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
	id := r.view("dev").ID
	w.took()
	if _, err := r.vms.BootUnasked(t.Context(), id, "k1"); fault.KindOf(err) != fault.Precondition {
		t.Errorf("%v", err)
	}
	r.close()
	r.wrap = func(s vm.Store) vm.Store { return lateStop{s} }
	r.open()
	r.parts.plugged.Store(nil)
	rec := r.done(r.vms.BootUnasked(t.Context(), id, "k2"))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Precondition {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	if seen := w.took(); slices.Contains(seen, "pre-start dev") || r.parts.plugged.Load() != nil || r.host.Launches() != 1 {
		t.Errorf("%q, plugged in %v, %d launches", seen, r.parts.plugged.Load() != nil, r.host.Launches())
	}
}

// lateStop has whoever begins an operation not see that the VM was stopped.
type lateStop struct{ vm.Store }

func (s lateStop) VM(ctx context.Context, ref string) (vm.Record, error) {
	r, err := s.Store.VM(ctx, ref)
	r.Halted = false
	return r, err
}

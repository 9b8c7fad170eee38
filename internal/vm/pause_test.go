package vm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func TestPause(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	for what, ask := range map[string]func(context.Context, string, string) (operation.Record, error){"pause": r.vms.Pause, "resume": r.vms.Resume} {
		if _, err := ask(t.Context(), "dev", ""); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "dev is stopped") {
			t.Errorf("%s of a stopped VM: %v", what, err)
		}
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	r.ok(r.vms.Resume(t.Context(), "dev", "")) // it runs
	for range 2 {
		r.ok(r.vms.Pause(t.Context(), "dev", ""))
		if s, why := r.state("dev"); s != vm.Paused || why != "a user paused it" {
			t.Errorf("paused: %s %q", s, why)
		}
	}
	// A new command is refused, one that there was goes on after it.
	_, err := r.vms.Connect(t.Context(), "dev", time.Minute)
	if f := fault.From(err); f == nil || f.Kind != fault.Precondition || !strings.Contains(f.Hint, "banger resume dev") {
		t.Errorf("connecting: %v", err)
	}
	if v, err := r.vms.Reconnect(t.Context(), "dev"); err != nil || v.Live == nil {
		t.Errorf("connecting again: %v", err)
	}
	r.close()
	r.open()
	if s, _ := r.state("dev"); s != vm.Paused {
		t.Errorf("with the next daemon: %s", s)
	}
	r.ok(r.vms.Resume(t.Context(), "dev", ""))
	if s, why := r.state("dev"); s != vm.Running || why != "" {
		t.Errorf("resumed: %s %q", s, why)
	}
	if _, err := r.vms.Connect(t.Context(), "dev", 0); err != nil {
		t.Error(err)
	}
	r.tells("dev", "running", "paused", "resumed")

	r.ok(r.vms.Pause(t.Context(), "dev", ""))
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	if _, err := r.vms.Reconnect(t.Context(), "dev"); fault.KindOf(err) != fault.Precondition {
		t.Errorf("connecting again to a VM that has ended: %v", err)
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	r.ok(r.vms.Pause(t.Context(), "dev", ""))
	r.ok(r.vms.Delete(t.Context(), "dev", true, ""))
	r.empty()
}

// A daemon that ends while a VM is paused, or let go on, leaves that to the next
// one.
func TestDaemonRestartInAPause(t *testing.T) {
	for _, resume := range []bool{false, true} {
		r := newRig(t)
		r.ok(r.create(spec.VM{Name: "dev"}, true))
		ask, want := r.vms.Pause, vm.Paused
		if resume {
			r.ok(r.vms.Pause(t.Context(), "dev", ""))
			ask, want = r.vms.Resume, vm.Running
		}
		reached := make(chan struct{})
		r.host.PauseHook = func(ctx context.Context) error { close(reached); <-ctx.Done(); return context.Cause(ctx) }
		rec, err := ask(t.Context(), "dev", "")
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		r.close()
		r.host.PauseHook = nil
		r.open()
		if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
			t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
		}
		if s, why := r.state("dev"); s != want {
			t.Errorf("%s %q", s, why)
		}
	}
}

// A pause that fails or is cancelled leaves a VM that runs, and one that ends
// meanwhile leaves nothing.
func TestPauseThatIsTakenBack(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	dir := r.vmDir("dev")
	r.host.PauseHook = func(context.Context) error {
		r.host.PauseHook = nil
		r.host.Change(dir, func(s *machine.Status) { s.Phase, s.Held = machine.PhasePaused, true })
		return errors.New("no answer")
	}
	if rec := r.done(r.vms.Pause(t.Context(), "dev", "")); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	r.await("it to go on", func() bool { s, _ := r.state("dev"); return s == vm.Running })

	// Of one that cannot be paused there is nothing to be taken back.
	r.host.PauseHook = func(context.Context) error { return fault.New(fault.Precondition, "", "it cannot be paused") }
	if rec := r.done(r.vms.Pause(t.Context(), "dev", "")); rec.State != operation.Failed || rec.Error.Message != "it cannot be paused" {
		t.Errorf("%s, %v", rec.State, rec.Error)
	}

	r.host.PauseHook = func(context.Context) error { r.host.End(dir, machine.ExitCrashed); return nil }
	if rec := r.done(r.vms.Pause(t.Context(), "dev", "")); rec.State != operation.Failed || rec.Error.Kind != fault.Precondition {
		t.Errorf("a VM that ends: %s, %v", rec.State, rec.Error)
	}
}

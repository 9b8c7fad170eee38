package vm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// ends ends a VM's machine and waits until that is known.
func (r *rig) ends(name, reason string) {
	r.t.Helper()
	boot := r.view(name).Boot.ID
	if !r.host.End(r.vmDir(name), reason) {
		r.t.Fatalf("%s does not run", name)
	}
	r.await("its end", func() bool { v := r.view(name); return v.Boot.ID != boot || v.Boot.Exit != nil })
}

func (r *rig) comesBack(name string) {
	r.t.Helper()
	r.await(name+" to come back", func() bool { s, _ := r.state(name); return s == vm.Running && r.view(name).Live != nil })
}

// staysDown checks that nothing starts a VM.
func (r *rig) staysDown(name string) {
	r.t.Helper()
	for range 30 {
		time.Sleep(5 * time.Millisecond)
		if v := r.view(name); v.Live != nil || v.MayRun() || v.State == vm.Starting {
			r.t.Fatalf("%s was started", name)
		}
	}
}

// What ends by itself comes back as its policy has it.
func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy spec.Restart
		reason string
		back   bool
	}{
		{"no", machine.ExitPanic, false},
		{"on-failure", machine.ExitPanic, true},
		{"on-failure", machine.ExitCrashed, true},
		{"on-failure", machine.ExitBootTimeout, true},
		{"on-failure", machine.ExitPoweroff, false},
		{"on-failure:2", machine.ExitPanic, true},
		{"always", machine.ExitPoweroff, true},
		{"always", machine.ExitCrashed, true},
	} {
		t.Run(string(c.policy)+" "+c.reason, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev", Restart: c.policy}, true))
			r.ends("dev", c.reason)
			if !c.back {
				r.staysDown("dev")
				return
			}
			r.comesBack("dev")
			r.await("it to be counted", func() bool { b := r.view("dev").Comeback; return b != nil && b.Total == 1 && b.Next.IsZero() })
			if told := r.told("dev"); !slices.Contains(told, "comes_back") {
				t.Errorf("events: %q", told)
			}
			ops, err := r.ops.List(t.Context(), true)
			if err != nil || ops[0].Kind != vm.KindStart || ops[0].State != operation.Succeeded {
				t.Errorf("operations %v, %v", ops, err)
			}
		})
	}
}

// What a user has stopped stays so, over the daemon's end too.
func TestStoppedByAUser(t *testing.T) {
	for name, stop := range map[string]func(*rig) (operation.Record, error){
		"stop": func(r *rig) (operation.Record, error) { return r.vms.Stop(r.t.Context(), "dev", 0, "") },
		"kill": func(r *rig) (operation.Record, error) { return r.vms.Kill(r.t.Context(), "dev", "") },
		"power-off meanwhile": func(r *rig) (operation.Record, error) {
			r.host.StopHook = func(context.Context) error {
				r.host.End(r.vmDir("dev"), machine.ExitPoweroff)
				return machine.ErrNotRunning
			}
			return r.vms.Stop(r.t.Context(), "dev", 0, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
			r.ok(stop(r))
			r.staysDown("dev")
			r.close()
			r.open()
			r.staysDown("dev")
			r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
			r.ends("dev", machine.ExitPoweroff)
			r.comesBack("dev")
		})
	}
}

// A stop that fails leaves a VM that comes back.
func TestStopThatFails(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
	stopping := make(chan struct{}, 1)
	r.host.StopHook = func(ctx context.Context) error { stopping <- struct{}{}; <-ctx.Done(); return context.Cause(ctx) }
	rec, err := r.vms.Stop(t.Context(), "dev", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	<-stopping
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.done(rec, nil); rec.State != operation.Canceled {
		t.Fatal(rec.State)
	}
	r.ends("dev", machine.ExitPanic)
	r.comesBack("dev")
}

// Starts that fail are tried again after a pause, for as often as the policy has
// it, whether or not they come to a boot; a user's start begins anew.
func TestStartsThatFail(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", Restart: "on-failure:3"}, true))
	r.finds(errors.New("the kernel is gone"))
	r.ends("dev", machine.ExitPanic)
	r.await("it to be given up", func() bool { b := r.view("dev").Comeback; return b != nil && b.GaveUp })
	b := r.view("dev").Comeback
	if b.Total != 3 || b.Row != 3 || !b.Next.IsZero() || !strings.Contains(b.Why, "the kernel is gone") {
		t.Errorf("%+v", b)
	}
	r.close()
	r.open()
	r.staysDown("dev")
	if told := r.told("dev"); !slices.Contains(told, "stays_down") {
		t.Errorf("events: %q", told)
	}
	r.finds(nil)
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	if rec := r.done(r.vms.Boot(t.Context(), "dev", vm.Start{}, "")); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	r.await("it to be given up again", func() bool { b := r.view("dev").Comeback; return b != nil && b.GaveUp && b.Total == 3 })
	r.host.LaunchHook = nil
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if b := r.view("dev").Comeback; b != nil {
		t.Errorf("a user's start: %+v", b)
	}
}

// A daemon that ends in a pause leaves it to the next one.
func TestDaemonRestartBetweenTries(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
	r.finds(errors.New("no room"))
	r.ends("dev", machine.ExitPanic)
	r.await("some tries", func() bool { b := r.view("dev").Comeback; return b != nil && b.Total >= 2 })
	r.close()
	r.finds(nil)
	r.open()
	r.comesBack("dev")
	if b := r.view("dev").Comeback; b == nil || b.Total < 2 {
		t.Errorf("%+v", b)
	}
}

// What ends while no daemon is there comes back with the next one; what a later
// policy would have had does not.
func TestEndsWithoutADaemon(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "back", Restart: "always"}, true))
	r.ok(r.create(spec.VM{Name: "down"}, true))
	back, down := r.vmDir("back"), r.vmDir("down")
	r.close()
	r.host.End(back, machine.ExitPoweroff)
	r.host.End(down, machine.ExitPanic)
	r.open()
	r.comesBack("back")
	r.staysDown("down")
	r.changed(r.set("down", change.Asked{Restart: "always"}))
	r.close()
	r.open()
	r.staysDown("down")
}

// A policy that is taken away in a pause ends it, and so does a stop.
func TestPauseThatIsEnded(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"set":  func(r *rig) { r.changed(r.set("dev", change.Asked{Restart: "no"})) },
		"stop": func(r *rig) { r.ok(r.vms.Stop(r.t.Context(), "dev", 0, "")) },
		"kill": func(r *rig) { r.ok(r.vms.Kill(r.t.Context(), "dev", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev", Restart: "always"}, true))
			r.finds(errors.New("no room"))
			r.ends("dev", machine.ExitPanic)
			r.await("a try", func() bool { b := r.view("dev").Comeback; return b != nil && b.Total >= 1 })
			end(r)
			time.Sleep(30 * time.Millisecond) // a try that was under way has been refused
			r.finds(nil)
			r.staysDown("dev")
		})
	}
}

// A host that was restarted: what ran says so, what is marked is started, and so
// is what its policy has always; once for each of the host's starts.
func TestHostRestarted(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "plain"}, true))
	r.ok(r.create(spec.VM{Name: "always", Restart: "always"}, true))
	r.ok(r.create(spec.VM{Name: "failing", Restart: "on-failure"}, true))
	r.ok(r.create(spec.VM{Name: "halted", Restart: "always"}, true))
	r.ok(r.vms.Stop(t.Context(), "halted", 0, ""))
	r.ok(r.create(spec.VM{Name: "marked", Autostart: true}, true))
	r.ok(r.vms.Stop(t.Context(), "marked", 0, ""))
	r.ok(r.create(spec.VM{Name: "new", Autostart: true}, false))
	ran := []string{r.vmDir("plain"), r.vmDir("always"), r.vmDir("failing")}
	r.close()
	for _, dir := range ran { // nobody saw it
		r.host.End(dir, machine.ExitCrashed)
	}
	launches := r.host.Launches()
	r.on.Boot = "boot2"
	r.open()
	for _, name := range []string{"always", "marked", "new"} {
		r.comesBack(name)
	}
	for _, name := range []string{"plain", "failing"} {
		r.staysDown(name)
		if s, why := r.state(name); s != vm.Stopped || why != "the host was restarted" {
			t.Errorf("%s is %s: %q", name, s, why)
		}
	}
	r.staysDown("halted")
	if n := r.host.Launches() - launches; n != 3 {
		t.Errorf("%d launches", n)
	}
	r.ok(r.vms.Stop(t.Context(), "marked", 0, ""))
	r.close()
	r.open() // the same start of the host
	r.staysDown("marked")
}

// What starts with the host and fails is told, and tried again only as its
// policy has it.
func TestAutostartThatFails(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "once", Autostart: true}, false))
	r.ok(r.create(spec.VM{Name: "again", Autostart: true, Restart: "on-failure"}, false))
	r.close()
	r.on.Boot = "boot2"
	r.finds(errors.New("no room"))
	r.open()
	r.await("both to have failed", func() bool {
		b := r.view("again").Comeback
		return slices.Contains(r.told("once"), "autostart_failed") && b != nil && b.Total >= 2
	})
	r.finds(nil)
	r.comesBack("again")
	r.staysDown("once")
}

// A directory that came from another host has VMs that do not run, and says why.
func TestMovedState(t *testing.T) {
	for name, c := range map[string]struct {
		move func(*rig)
		says string
	}{
		"host":             {func(r *rig) { r.on = vm.Host{Boot: "other", Machine: "m2"} }, "on another host"},
		"host without IDs": {func(r *rig) { r.on = vm.Host{Boot: "other"} }, "the host was restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev", Restart: "on-failure"}, true))
			r.close()
			c.move(r)
			r.open()
			r.await("its end", func() bool { return !r.view("dev").MayRun() })
			if s, why := r.state("dev"); s != vm.Stopped || !strings.Contains(why, c.says) {
				t.Errorf("%s: %q", s, why)
			}
			if r.host.Running() != 1 {
				t.Errorf("%d machines run", r.host.Running())
			}
			r.staysDown("dev")
		})
	}
}

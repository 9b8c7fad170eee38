package vm_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func TestRestart(t *testing.T) {
	r := newRig(t)
	web := []forward.Forward{{HostPort: 0, GuestPort: 80}}
	r.ok(r.create(spec.VM{Name: "dev", Forwards: web}, true))
	before, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	r.ok(r.vms.Restart(t.Context(), "dev", 0, false, ""))
	r.tells("dev", "running", "forward_opened", "stopped", "running", "forward_opened")
	after, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil || after.State != vm.Running || after.Boot.ID == before.Boot.ID || r.host.Launches() != 2 || r.host.Running() != 1 {
		t.Errorf("%s after %d launches, %v", after.State, r.host.Launches(), err)
	}
	if !slices.Equal(after.Spec.Forwards, web) || len(after.Forwards) != 1 || after.Forwards[0].Port == 0 {
		t.Errorf("its forwards became %+v", after.Forwards)
	}

	r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
	r.ok(r.vms.Restart(t.Context(), "dev", 0, false, "")) // one that does not run is started
	if s, why := r.state("dev"); s != vm.Running || r.host.Launches() != 3 {
		t.Errorf("%s %q after %d launches", s, why, r.host.Launches())
	}

	r.host.Deaf = true
	r.ok(r.vms.Restart(t.Context(), "dev", 20*time.Millisecond, false, ""))
	if told := r.told("dev"); !slices.Contains(told, "stop_timeout") || r.host.Launches() != 4 {
		t.Errorf("a guest that does not stop: %q, %d launches", told, r.host.Launches())
	}
}

// What would keep it from starting is found out before it is stopped.
func TestRestartThatCannotStart(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", VMM: "other"}, true))
	r.vmms.missing = true
	if _, err := r.vms.Restart(t.Context(), "dev", 0, false, ""); fault.KindOf(err) != fault.Precondition {
		t.Errorf("its VMM is gone: %v", err)
	}
	if s, why := r.state("dev"); s != vm.Running {
		t.Errorf("it is %s %q", s, why)
	}
}

// A VM that was made to be thrown away ends with its restart only where that
// fails, whoever was to remove it meanwhile.
func TestRestartAndAutoRemove(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
	for range 3 {
		r.ok(r.vms.Restart(t.Context(), "tmp", 0, false, ""))
	}
	if s, why := r.state("tmp"); s != vm.Running {
		t.Fatalf("%s %q", s, why)
	}
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	if rec := r.done(r.vms.Restart(t.Context(), "tmp", 0, false, "")); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	r.await("the VM that did not start again to be gone", func() bool {
		_, err := r.vms.Inspect(t.Context(), "tmp")
		return fault.KindOf(err) == fault.NotFound
	})
	r.empty()
}

func TestRestartThatFailsKeepsTheVM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	if rec := r.done(r.vms.Restart(t.Context(), "dev", 0, false, "")); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	r.host.LaunchHook = nil
	r.ok(r.vms.Restart(t.Context(), "dev", 0, false, ""))
	if s, why := r.state("dev"); s != vm.Running {
		t.Errorf("%s %q", s, why)
	}
}

// Whichever step a daemon ends in, the next one goes on with that: there is one
// stop and one start, and nobody takes the VM away in between.
func TestDaemonRestartInARestart(t *testing.T) {
	for name, hold := range map[string]func(*rig, chan<- struct{}){
		"stopping": func(r *rig, reached chan<- struct{}) {
			r.host.StopHook = func(ctx context.Context) error { close(reached); <-ctx.Done(); return context.Cause(ctx) }
		},
		"starting": func(r *rig, reached chan<- struct{}) {
			r.host.LaunchHook = func(ctx context.Context, _ machine.Launch) error {
				close(reached)
				<-ctx.Done()
				return context.Cause(ctx)
			}
		},
		"booting": func(r *rig, reached chan<- struct{}) {
			r.host.Mute = true
			go func() {
				for r.host.Launches() < 2 {
					time.Sleep(time.Millisecond)
				}
				close(reached)
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
			reached := make(chan struct{})
			hold(r, reached)
			rec, err := r.vms.Restart(t.Context(), "tmp", 0, false, "")
			if err != nil {
				t.Fatal(err)
			}
			<-reached
			dir := r.vmDir("tmp")
			r.close()
			r.host.StopHook, r.host.LaunchHook = nil, nil
			if r.host.Mute {
				r.host.Change(dir, func(s *machine.Status) { s.Phase, s.ReadyMS = machine.PhaseRunning, 2 })
			}
			r.open()
			if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
				t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
			}
			if s, why := r.state("tmp"); s != vm.Running || r.host.Launches() != 2 {
				t.Errorf("%s %q after %d launches", s, why, r.host.Launches())
			}
		})
	}
}

// Between its boots a VM is about to start: it is listed, and a stream to it is
// waited for.
func TestConnectingWhileItRestarts(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	reached, goOn := make(chan struct{}), make(chan struct{})
	r.host.LaunchHook = func(context.Context, machine.Launch) error { close(reached); <-goOn; return nil }
	rec, err := r.vms.Restart(t.Context(), "dev", 0, false, "")
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	if s, why := r.state("dev"); s != vm.Starting {
		t.Errorf("between its boots: %s %q", s, why)
	}
	connected := make(chan error, 1)
	go func() {
		_, err := r.vms.Connect(t.Context(), v.ID, time.Minute)
		connected <- err
	}()
	close(goOn)
	if err := <-connected; err != nil {
		t.Error(err)
	}
	r.ok(rec, nil)
}

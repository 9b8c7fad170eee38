package vm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func (r *rig) reset(name string, force bool) (operation.Record, error) {
	return r.resets.Reset(r.t.Context(), name, force, 0, "")
}

// write puts something into a file of the VM.
func (r *rig) write(name, file string) {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.vmDir(name), file), os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = f.WriteString("written")
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// written reports whether it is still there.
func (r *rig) written(name, file string) bool {
	r.t.Helper()
	f, err := os.Open(filepath.Join(r.vmDir(name), file))
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	begin := make([]byte, 7)
	n, _ := f.Read(begin)
	return string(begin[:n]) == "written"
}

// The root is dropped, the home stays, and so does who the VM is.
func TestReset(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
	r.write("dev", "layer.img")
	r.write("dev", "work.img")
	before := r.view("dev")
	r.ok(r.reset("dev", false))
	after := r.view("dev")
	if r.written("dev", "layer.img") || !r.written("dev", "work.img") {
		t.Errorf("root %v, home %v", r.written("dev", "layer.img"), r.written("dev", "work.img"))
	}
	if after.State != vm.Stopped || after.ID != before.ID || after.MachineID != before.MachineID || r.host.Launches() != 1 {
		t.Errorf("%s, %d launches", after.State, r.host.Launches())
	}
	r.ok(r.reset("dev", true)) // one that does not run stays so
	if s, _ := r.state("dev"); s != vm.Stopped || r.host.Launches() != 1 {
		t.Errorf("%s, %d launches", s, r.host.Launches())
	}
}

// One that runs is refused, or is stopped in good order and started again.
func TestResetOfARunningVM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.write("dev", "layer.img")
	if _, err := r.reset("dev", false); fault.KindOf(err) != fault.Precondition {
		t.Errorf("it runs: %v", err)
	}
	if s, _ := r.state("dev"); s != vm.Running || !r.written("dev", "layer.img") {
		t.Errorf("then it is %s", s)
	}
	r.ok(r.reset("dev", true))
	r.tells("dev", "running", "stopped", "running")
	if s, why := r.state("dev"); s != vm.Running || r.written("dev", "layer.img") || r.host.Launches() != 2 {
		t.Errorf("%s %q, %d launches", s, why, r.host.Launches())
	}
}

// A start that fails after it leaves a VM that was reset.
func TestResetThatDoesNotStart(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.write("dev", "layer.img")
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	if rec := r.done(r.reset("dev", true)); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	if s, _ := r.state("dev"); s == vm.Running || r.written("dev", "layer.img") {
		t.Errorf("%s", s)
	}
}

// Once the root is dropped, what comes after can be taken back: a kill of a VM
// whose start hangs is not kept waiting.
func TestKillOfAResetThatHangs(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.Mute = true
	rec, err := r.reset("dev", true)
	if err != nil {
		t.Fatal(err)
	}
	r.await("the second boot", func() bool { return r.host.Launches() == 2 })
	bounded, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	kill, err := r.vms.Kill(bounded, "dev", "")
	r.ok(kill, err)
	if rec = r.done(rec, nil); rec.State != operation.Canceled {
		t.Errorf("the reset %s", rec.State)
	}
	if s, _ := r.state("dev"); s != vm.Stopped {
		t.Errorf("it is %s", s)
	}
}

// A copy of the image is made beside the old root; a cancel leaves that, and no
// part of the other.
func TestResetOfACopy(t *testing.T) {
	r := newRig(t)
	r.parts.base = disktest.NewBase(t, 1<<20)
	r.ok(r.create(spec.VM{Name: "dev", DiskDriver: "copy"}, false))
	r.write("dev", "root.img")
	kept := r.parts.base
	r.parts.base.Path = filepath.Join(t.TempDir(), "gone")
	if rec := r.done(r.reset("dev", false)); rec.State != operation.Failed || !r.written("dev", "root.img") {
		t.Fatalf("without its image: %s", rec.State)
	}
	r.parts.base = kept
	r.ok(r.reset("dev", false))
	left, err := filepath.Glob(filepath.Join(r.vmDir("dev"), "root*"))
	if r.written("dev", "root.img") || err != nil || len(left) != 1 {
		t.Errorf("%q, %v", left, err)
	}
}

// Whichever step a daemon ends in, the next one goes forward.
func TestDaemonRestartInAReset(t *testing.T) {
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
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev"}, true))
			r.write("dev", "layer.img")
			reached := make(chan struct{})
			hold(r, reached)
			rec, err := r.reset("dev", true)
			if err != nil {
				t.Fatal(err)
			}
			<-reached
			r.close()
			r.host.StopHook, r.host.LaunchHook = nil, nil
			r.open()
			if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
				t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
			}
			if s, why := r.state("dev"); s != vm.Running || r.written("dev", "layer.img") || r.host.Launches() != 2 {
				t.Errorf("%s %q after %d launches", s, why, r.host.Launches())
			}
		})
	}
}

// A VM that was started though the host cannot carry it is reset and started
// again; one that cannot start is not even stopped.
func TestResetOfAForcedVM(t *testing.T) {
	r := newRigWith(t, small)
	r.ok(r.create(spec.VM{Name: "dev", MemoryBytes: 3 << 30}, false))
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{Force: true}, ""))
	r.write("dev", "layer.img")
	r.ok(r.reset("dev", true))
	if s, why := r.state("dev"); s != vm.Running || r.written("dev", "layer.img") {
		t.Errorf("it is %s: %s", s, why)
	}
	r.write("dev", "layer.img")
	r.finds(fault.New(fault.Precondition, "", "no mke2fs"))
	if _, err := r.reset("dev", true); !errors.Is(err, r.found()) {
		t.Errorf("%v", err)
	}
	if s, why := r.state("dev"); s != vm.Running || !r.written("dev", "layer.img") {
		t.Errorf("it is %s: %s", s, why)
	}
}

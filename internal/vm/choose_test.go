package vm_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

func (r *rig) view(name string) vm.View {
	r.t.Helper()
	v, err := r.vms.Inspect(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) boot(name, vmm string) (operation.Record, error) {
	return r.vms.Boot(r.t.Context(), name, vm.Start{VMM: vmm}, "")
}

// A VM knows its VMM, why it is that one, and what sets it apart: before its
// first start what can be expected, then what is true.
func TestChoiceIsKept(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	v := r.view("dev")
	if v.Spec.VMM != "fake" || v.Choice.Why != "chosen: it is a fake" || v.Isolation != "fake/tcg (no security promise)" {
		t.Errorf("made: %+v, %q", v.Choice, v.Isolation)
	}
	r.ok(r.boot("dev", ""))
	r.host.Change(v.Dir, func(s *machine.Status) {
		s.VMM = vmm.Facts{Accel: vmm.AccelKVM, Isolation: vmm.IsolationSandbox, Reduced: []string{"It is a fake."}}
	})
	r.await("the facts", func() bool { return r.view("dev").Isolation == "fake/kvm sandboxed" })
	if v = r.view("dev"); !slices.Contains(v.Reduced, "It is a fake.") || v.Boot.VMM != "fake" {
		t.Errorf("running: %v, %+v", v.Reduced, v.Boot)
	}
	r.close()
	r.open()
	if v = r.view("dev"); v.Choice.Why != "chosen: it is a fake" {
		t.Errorf("after a restart of the daemon: %+v", v.Choice)
	}
}

// overlay is a disk driver whose root not every VMM reads, and which may not work.
type overlay struct {
	*fakeParts
	broken error
}

func (overlay) Format() disk.Format { return disk.FormatQCOW2 }

func (o overlay) Check(context.Context, string) error { return o.broken }

// The VMM is chosen among those that read the root; a disk driver that was asked
// for and does not work here is refused before anything is made.
func TestChoiceByDisk(t *testing.T) {
	r := newRig(t)
	r.vms.Disks = map[string]disk.Driver{"guestcow": r.parts, "qcow2": overlay{r.parts, nil}, "reflink": overlay{r.parts, fault.New(fault.Precondition, "Use another.", "it shares nothing")}}
	r.ok(r.create(spec.VM{Name: "a"}, false))
	if r.vmms.last.Format != disk.FormatRaw || r.vmms.checked.Format != disk.FormatRaw {
		t.Errorf("%+v, %+v", r.vmms.checked, r.vmms.last)
	}
	r.ok(r.create(spec.VM{Name: "b", DiskDriver: "qcow2"}, false))
	if r.vmms.last.Format != disk.FormatQCOW2 || r.vmms.checked.Format != disk.FormatQCOW2 || r.vmms.last.DiskDriver != "qcow2" {
		t.Errorf("%+v, %+v", r.vmms.checked, r.vmms.last)
	}
	r.ok(r.boot("b", "other"))
	if r.vmms.last.VMM != "other" || r.vmms.last.Format != disk.FormatQCOW2 {
		t.Errorf("%+v", r.vmms.last)
	}
	if _, err := r.create(spec.VM{Name: "c", DiskDriver: "reflink"}, false); fault.KindOf(err) != fault.Precondition {
		t.Error(err)
	}
	if _, err := r.create(spec.VM{Name: "c", DiskDriver: "floppy"}, false); fault.KindOf(err) != fault.Invalid || fault.From(err).Hint != "Use one of: guestcow, qcow2, reflink." {
		t.Error(err)
	}
}

// What cannot be known before the guest's kernel is there ends the create, and
// takes back what was made for it.
func TestChoiceThatFailsLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.vmms.broken = true
	rec := r.done(r.create(spec.VM{Name: "dev", VMM: "other"}, true))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Precondition || rec.Error.Message != "other runs no guest with /k1" {
		t.Fatalf("%s %v", rec.State, rec.Error)
	}
	r.empty()
}

// A VM moves to another VMM only where it is told to, and stays there.
func TestStartOnAnotherVMM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	if _, err := r.boot("dev", "xen"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an unknown VMM: %v", err)
	}
	r.ok(r.boot("dev", "other"))
	if v := r.view("dev"); v.Spec.VMM != "other" || v.Choice.Why != "asked for" || v.Boot.VMM != "other" {
		t.Errorf("moved: %+v, %+v", v.Spec, v.Choice)
	}
	for _, same := range []string{"other", choose.Auto, ""} {
		r.ok(r.boot("dev", same)) // it runs already
	}
	if rec := r.done(r.boot("dev", "fake")); rec.State != operation.Failed || rec.Error.Message != "the VM dev runs on other" {
		t.Errorf("moving a running VM: %s %v", rec.State, rec.Error)
	}
	if r.host.Launches() != 1 {
		t.Errorf("%d launches", r.host.Launches())
	}
	r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
	r.ok(r.boot("dev", ""))
	if v := r.view("dev"); v.Spec.VMM != "other" {
		t.Errorf("started again: %+v", v.Spec)
	}
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	r.ok(r.boot("dev", choose.Auto))
	if v := r.view("dev"); v.Spec.VMM != "fake" || v.Boot.VMM != "fake" {
		t.Errorf("moved back: %+v", v.Spec)
	}
}

func TestStartThatFailsStaysOnItsVMM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	before := r.view("dev")
	r.host.LaunchHook = func(_ context.Context, l machine.Launch) error {
		if l.Driver != "other" {
			t.Errorf("it was launched with %s", l.Driver)
		}
		return errors.New("no luck")
	}
	if rec := r.done(r.boot("dev", "other")); rec.State != operation.Failed {
		t.Fatalf("%s", rec.State)
	}
	r.vmms.broken = true
	if rec := r.done(r.boot("dev", "other")); rec.State != operation.Failed || rec.Error.Hint != "Use another one." {
		t.Fatalf("%s %v", rec.State, rec.Error)
	}
	if v := r.view("dev"); v.Spec.VMM != "fake" || v.Choice != before.Choice || v.Isolation != before.Isolation {
		t.Errorf("after failed starts: %+v, %+v", v.Spec, v.Choice)
	}
}

// A VM whose VMM is gone says so before anything is begun; one that runs does
// not care.
func TestStartWithoutItsVMM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", VMM: "other"}, true))
	r.vmms.missing = true
	r.ok(r.boot("dev", ""))
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	_, err := r.boot("dev", "")
	if f := fault.From(err); err == nil || f.Kind != fault.Precondition || f.Message != "other is not installed" ||
		f.Hint != "Install it, or move it: banger start --vmm auto dev" {
		t.Errorf("a start: %+v", f)
	}
	r.ok(r.boot("dev", choose.Auto))
}

func TestVMMUsers(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "a", VMM: "other"}, false))
	r.ok(r.create(spec.VM{Name: "b", VMM: "other"}, true))
	r.ok(r.create(spec.VM{Name: "c"}, true))
	running, stopped, err := r.vms.VMMUsers(t.Context(), "other")
	if err != nil || !slices.Equal(running, []string{"b"}) || !slices.Equal(stopped, []string{"a"}) {
		t.Errorf("VMMUsers = %v, %v, %v", running, stopped, err)
	}
	if c, err := r.vms.UsualVMM(t.Context(), choose.Guest{}); err != nil || c.VMM != "fake" {
		t.Errorf("UsualVMM = %+v, %v", c, err)
	}
}

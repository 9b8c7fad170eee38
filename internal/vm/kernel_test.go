package vm_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// joined is a disk whose root the guest's kernel puts together.
type joined struct{ *fakeParts }

func (joined) GuestDrivers() []string { return []string{"dm_snapshot"} }

// carded is a network with a card.
type carded struct{ *fakeParts }

func (carded) Backends() []network.Backend {
	return []network.Backend{network.BackendNone, network.BackendBuiltin}
}

// newKernelRig has a kernel named poor that lacks things.
func newKernelRig(t *testing.T, lacks ...string) *rig {
	r := newRig(t)
	r.kernels.lacks = lacks
	r.vms.Disks = map[string]disk.Driver{"guestcow": joined{r.parts}, "copy": r.parts}
	r.vms.Networks = map[string]network.Driver{"user": carded{r.parts}, "none": r.parts}
	return r
}

// A VM has its kernel for good, and the kernel its VM.
func TestKernelIsKept(t *testing.T) {
	r := newKernelRig(t)
	r.ok(r.create(spec.VM{Name: "dev", Kernel: "poor"}, true))
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil || v.KernelID != "k2" || v.Spec.Kernel != "poor" || len(v.Weaker) > 0 {
		t.Fatalf("%+v, %v", v.Record, err)
	}
	if users, err := r.vms.KernelUsers(t.Context(), "k2"); err != nil || !slices.Equal(users, []string{"dev"}) {
		t.Errorf("%v, %v", users, err)
	}
	if r.kernels.released != 1 {
		t.Errorf("%d leases were given back", r.kernels.released)
	}
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	r.close()
	r.open()
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if v, err = r.vms.Inspect(t.Context(), "dev"); err != nil || v.KernelID != "k2" {
		t.Errorf("started again: %+v, %v", v.Record, err)
	}
	r.ok(r.vms.Delete(t.Context(), "dev", true, ""))
	r.ok(r.create(spec.VM{Name: "usual"}, false))
	if v, err = r.vms.Inspect(t.Context(), "usual"); err != nil || v.Spec.Kernel != "debian" {
		t.Errorf("the default one: %+v, %v", v.Record, err)
	}
}

// What cannot come to anything with its kernel is refused at once, before an
// image is made for it.
func TestKernelIsRefusedAtOnce(t *testing.T) {
	r := newKernelRig(t, "dm_snapshot", "virtio_net")
	for _, c := range []struct {
		asked   spec.VM
		kind    fault.Kind
		message string
		hint    string
	}{
		{spec.VM{Kernel: "none"}, fault.NotFound, `there is no kernel "none"`, ""},
		{spec.VM{Kernel: "poor"}, fault.Precondition, "the kernel poor lacks virtio_net", "--network none"},
		{spec.VM{Kernel: "poor", Network: "none", DiskDriver: "guestcow"}, fault.Precondition, "lacks dm_snapshot", "--disk-driver copy"},
	} {
		c.asked.Name = "dev"
		rec, err := r.create(c.asked, true)
		f := fault.From(err)
		if f == nil || f.Kind != c.kind || !strings.Contains(f.Message, c.message) || !strings.Contains(f.Hint, c.hint) {
			t.Errorf("%+v: %v", c.asked, err)
		}
		if rec.ID != "" {
			t.Errorf("%+v: an operation was begun", c.asked)
		}
	}
	r.ok(r.create(spec.VM{Name: "dev", Kernel: "poor", Network: "none"}, false))
	if w := r.vmms.checked; w.Kernel != "poor" || !slices.Equal(w.Lacks, []string{"dm_snapshot", "virtio_net"}) {
		t.Errorf("VMMs were checked for %+v", w)
	}
}

// A kernel that cannot join the root gives its VM a copy, and that is said.
func TestKernelWithoutDeviceMapper(t *testing.T) {
	r := newKernelRig(t, "dm_snapshot")
	rec := r.done(r.create(spec.VM{Name: "dev", Kernel: "poor"}, false))
	if rec.State != operation.Succeeded {
		t.Fatal(rec.Error)
	}
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil || v.Spec.DiskDriver != "copy" || len(v.Reduced) != 1 || !strings.Contains(v.Reduced[0], "the kernel poor lacks dm_snapshot, which guestcow needs") {
		t.Errorf("%s, %v, %v", v.Spec.DiskDriver, v.Reduced, err)
	}
	if w := r.vmms.last; w.Kernel != "poor" || !slices.Equal(w.Lacks, []string{"dm_snapshot"}) {
		t.Errorf("the VMM was chosen for %+v", w)
	}
	var result struct{ Weaker []string }
	if err := json.Unmarshal(rec.Result, &result); err != nil || !slices.Equal(result.Weaker, v.Reduced) {
		t.Errorf("the result: %s, %v", rec.Result, err)
	}
	r.ok(r.create(spec.VM{Name: "copied", Kernel: "poor", DiskDriver: "copy"}, false))
	if v, err := r.vms.Inspect(t.Context(), "copied"); err != nil || len(v.Reduced) != 0 {
		t.Errorf("a copy that was asked for: %v, %v", v.Reduced, err)
	}
}

// A default kernel that is not there yet shows what it lacks only once it is made.
func TestKernelThatTurnsOutPoor(t *testing.T) {
	r := newKernelRig(t, "virtio_net")
	r.kernels.late = true
	rec := r.done(r.create(spec.VM{Name: "dev", Kernel: "poor"}, false))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Precondition || !strings.Contains(rec.Error.Message, "the kernel poor lacks virtio_net") {
		t.Errorf("%s, %v", rec.State, rec.Error)
	}
	if _, err := r.vms.Inspect(t.Context(), "dev"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it is left: %v", err)
	}
}

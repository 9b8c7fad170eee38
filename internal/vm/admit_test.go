package vm_test

import (
	"context"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// small is a host with room for two VMs of a gigabyte.
func small(r *rig) {
	r.capacity = capacity.NewJudge(func() (capacity.Host, error) {
		return capacity.Host{CPUs: 2, MemoryBytes: 4 << 30, AvailableBytes: 2 << 30, DiskBytes: 1 << 40, FreeBytes: 1 << 40}, nil
	}, capacity.Policy{MemoryOvercommit: 1})
}

// A VM that the host cannot carry is refused before anything is made or started,
// and is started all the same by who insists; one that ended leaves its room.
func TestAdmission(t *testing.T) {
	r := newRigWith(t, small)
	one := func(name string) spec.VM { return spec.VM{Name: name, MemoryBytes: 1 << 30} }
	r.ok(r.create(one("one"), true))
	r.ok(r.create(one("two"), true))
	refused := func(what string, err error) {
		t.Helper()
		if f := fault.From(err); f == nil || f.Kind != fault.Precondition || !strings.Contains(f.Message, "too little memory for a VM of 1G") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := r.create(one("three"), true)
	refused("create and start", err)
	if _, err := r.vms.Inspect(t.Context(), "three"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it was made: %v", err)
	}
	r.ok(r.create(one("three"), false)) // which takes none of it
	_, err = r.vms.Boot(t.Context(), "three", vm.Start{}, "")
	refused("start", err)
	_, err = r.vms.Restart(t.Context(), "three", 0, false, "")
	refused("restart", err)
	r.ok(r.vms.Boot(t.Context(), "one", vm.Start{}, "")) // runs already
	r.ok(r.vms.Restart(t.Context(), "one", 0, false, ""))
	r.ok(r.vms.Boot(t.Context(), "three", vm.Start{Force: true}, ""))
	for _, name := range []string{"two", "three"} {
		r.ok(r.vms.Kill(t.Context(), name, ""))
	}
	r.ok(r.vms.Boot(t.Context(), "two", vm.Start{}, ""))
	if h, s, err := r.vms.HostLoad(t.Context()); err != nil || h.CPUs != 2 || s.VMs != 2 || s.MemoryBytes != 2<<30 {
		t.Errorf("%+v, %+v, %v", h, s, err)
	}
}

// What was granted to a start that failed, or was cancelled, is there again.
func TestAdmissionOfAStartThatFails(t *testing.T) {
	r := newRigWith(t, small)
	two := spec.VM{MemoryBytes: 2 << 30}
	for _, name := range []string{"one", "two"} {
		two.Name = name
		r.ok(r.create(two, false))
	}
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return fault.New(fault.Unavailable, "", "no") }
	for range 3 {
		if rec := r.done(r.vms.Boot(t.Context(), "one", vm.Start{}, "")); rec.State != operation.Failed || rec.Error.Message != "no" {
			t.Fatalf("%+v", rec.Error)
		}
	}
	r.host.LaunchHook = nil
	r.ok(r.vms.Boot(t.Context(), "two", vm.Start{}, ""))
}

package vm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// A VM that is being made is waited for; one whose start fails is not, nor one
// that nobody makes.
func TestConnectingToAVMOnTheWay(t *testing.T) {
	r := newRig(t)
	launch := make(chan error)
	r.host.LaunchHook = func(ctx context.Context, _ machine.Launch) error {
		select {
		case err := <-launch:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	type found struct {
		v   vm.View
		err error
	}
	connect := func(id string) <-chan found {
		got := make(chan found, 1)
		go func() {
			v, err := r.vms.Connect(t.Context(), id, time.Minute)
			got <- found{v, err}
		}()
		return got
	}

	op, err := r.create(spec.VM{Name: "dev"}, true)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimPrefix(op.Target, "vm/")
	if _, err := r.vms.Connect(t.Context(), id, 0); err == nil {
		t.Error("it is there before it is launched")
	}
	if _, err := r.vms.Connect(t.Context(), id, 20*time.Millisecond); fault.KindOf(err) != fault.Unavailable || fault.From(err).Operation != op.ID {
		t.Errorf("after a short wait: %v", err)
	}
	got := connect(id)
	launch <- nil
	if f := <-got; f.err != nil || f.v.ID != id || f.v.Live == nil {
		t.Errorf("it is %+v, %v", f.v.Live, f.err)
	}
	r.ok(op, nil)

	op, err = r.create(spec.VM{Name: "broken"}, true)
	if err != nil {
		t.Fatal(err)
	}
	got = connect(strings.TrimPrefix(op.Target, "vm/"))
	launch <- fault.New(fault.Unavailable, "", "no VMM today")
	if f := <-got; f.err == nil {
		t.Error("there is a VM that was never launched")
	}
	r.done(op, nil)
	if _, err := r.vms.Connect(t.Context(), "none-such", time.Minute); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no such VM: %v", err)
	}
}

// A monitor that is listened to is not asked whether it is there.
func TestConnectAsksNobodyInTouch(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.StatusHook = func() error { return fault.New(fault.Internal, "", "the monitor was asked") }
	if _, err := r.vms.Connect(t.Context(), "dev", 0); err != nil {
		t.Error(err)
	}
}

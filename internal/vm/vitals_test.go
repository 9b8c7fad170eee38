package vm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func TestPingAndHealth(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "a"}, true))
	if d, err := r.vms.Ping(t.Context(), "a", time.Second); err != nil || d != 2*time.Millisecond {
		t.Errorf("%s, %v", d, err)
	}
	if h, err := r.vms.Health(t.Context(), "a", time.Second); err != nil || h.Execs != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	fails := func(ref string, kind fault.Kind, want string) {
		t.Helper()
		if _, err := r.vms.Ping(t.Context(), ref, time.Millisecond); fault.KindOf(err) != kind || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r.host.AskHook = func(ctx context.Context, _ string) error { // of a monitor that hangs
		<-ctx.Done()
		return context.Cause(ctx)
	}
	fails("a", fault.Deadline, "the monitor of a did not answer within 1.001s")
	r.host.AskHook = func(context.Context, string) error { return machine.ErrNotRunning }
	fails("a", fault.Precondition, "has just ended")
	r.ok(r.vms.Stop(t.Context(), "a", 0, ""))
	fails("a", fault.Precondition, "the VM a is stopped")
	fails("nope", fault.NotFound, "nope")
}

func TestListOfLabels(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "a", Labels: map[string]string{"ci": "1"}}, false))
	r.ok(r.create(spec.VM{Name: "b"}, false))
	views, err := r.vms.List(t.Context(), true, "ci")
	if err != nil || len(views) != 1 || views[0].Spec.Name != "a" {
		t.Errorf("%+v, %v", views, err)
	}
	if views, err = r.vms.List(t.Context(), false, "ci"); err != nil || len(views) > 0 {
		t.Errorf("of those that run: %+v, %v", views, err)
	}
	if _, err := r.vms.List(t.Context(), true, "=1"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

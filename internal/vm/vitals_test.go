package vm_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
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

// What VMs take is told of each, also where one of them hangs, and of one that
// does not run.
func TestStats(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"a", "b"} {
		r.ok(r.create(spec.VM{Name: name}, true))
		r.host.Change(r.vmDir(name), func(s *machine.Status) { s.MonitorPID = os.Getpid() })
		r.await("its monitor", func() bool { return r.view(name).Live.MonitorPID != 0 })
	}
	r.ok(r.create(spec.VM{Name: "off"}, false))
	if err := os.WriteFile(filepath.Join(r.vmDir("off"), "work.img"), make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	hanging := r.vmDir("a")
	r.host.AskHook = func(ctx context.Context, dir string) error {
		if dir == hanging {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}
	begin := time.Now()
	all, err := r.vms.Stats(t.Context(), nil, time.Millisecond)
	if err != nil || len(all) != 2 || time.Since(begin) > 20*time.Second {
		t.Fatalf("%d, %v after %s", len(all), err, time.Since(begin))
	}
	a, b := all[0], all[1]
	if a.Guest != nil || len(a.Missing) != 1 || !strings.Contains(a.Missing[0], "the monitor of a did not answer") || a.Monitor == nil || len(a.Disks) != 2 {
		t.Errorf("the one that hangs: %+v", a)
	}
	if b.Guest == nil || b.Guest.Execs != 3 || b.Traffic.ReceivedBytes != 2 || len(b.Missing) > 0 || b.Monitor.Resident <= 0 || b.At.IsZero() {
		t.Errorf("the other: %+v", b)
	}
	all, err = r.vms.Stats(t.Context(), []string{"off", "b"}, time.Second)
	if err != nil || len(all) != 2 || all[1].Guest == nil {
		t.Fatalf("%+v, %v", all, err)
	}
	off := all[0]
	if off.State != vm.Stopped || off.Monitor != nil || off.Guest != nil || len(off.Missing) > 0 || len(off.Disks) != 2 ||
		off.Disks[0].What != "layer" || off.Disks[1].What != "work" || off.Disks[1].ApparentBytes != 8192 || off.Disks[1].UsedBytes <= 0 || off.Disks[1].Shared {
		t.Errorf("%+v", off)
	}
	if _, err := r.vms.Stats(t.Context(), []string{"nope"}, time.Second); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

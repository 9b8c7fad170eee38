package vm_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func (r *rig) set(name string, asked change.Asked) (operation.Record, error) {
	return r.changes.Set(r.t.Context(), name, asked, "")
}

// changed waits for a change that must succeed, and returns what it says.
func (r *rig) changed(rec operation.Record, err error) (res change.Result) {
	r.t.Helper()
	rec = r.done(rec, err)
	if rec.State != operation.Succeeded {
		r.t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	if err := json.Unmarshal(rec.Result, &res); err != nil {
		r.t.Fatal(err)
	}
	return res
}

// A running VM has its labels at once and the rest from its next start on;
// until then what it runs with is told as well as what it is to have.
func TestSetOfARunningVM(t *testing.T) {
	r := newRig(t)
	var got machine.Launch
	r.host.LaunchHook = func(_ context.Context, l machine.Launch) error { got = l; return nil }
	grown := int64(0)
	r.host.GrowHook = func(_ context.Context, _ string, size int64) error { grown = size; return nil }
	r.ok(r.create(spec.VM{Name: "dev", CPUs: 2, Labels: map[string]string{"team": "web", "old": "1"}, AllowHosts: []string{"10.0.0.1"}}, true))
	on := true
	res := r.changed(r.set("dev", change.Asked{
		CPUs: 4, MemoryBytes: 1<<30 + 1, DiskBytes: 20 << 30, Allow: []string{"10.0.0.2:80", "10.0.0.2/32:80"}, Disallow: []string{"10.0.0.1/32", "10.9.9.9"},
		Labels: map[string]string{"team": "db"}, Unlabel: []string{"old", "none"}, Restart: "unless-stopped", Autostart: &on,
	}))
	later := []string{"cpus", "memory", "allow_hosts"}
	if !slices.Equal(res.Pending, later) || !slices.Equal(res.Changed, []string{"cpus", "memory", "disk", "allow_hosts", "labels", "restart", "autostart"}) {
		t.Errorf("%+v", res)
	}
	v := r.view("dev")
	if !slices.Equal(v.Pending, later) || v.Boot.Shape.CPUs != 2 || v.Boot.Shape.MemoryBytes != 512<<20 || v.Spec.CPUs != 4 || v.Spec.MemoryBytes != 1<<30+1<<20 {
		t.Errorf("pending %q, boot %+v, asked for %+v", v.Pending, v.Boot.Shape, v.Spec)
	}
	if !maps.Equal(v.Spec.Labels, map[string]string{"team": "db"}) || v.Spec.Restart != spec.RestartAlways || !v.Spec.Autostart {
		t.Errorf("%+v", v.Spec)
	}
	if !slices.Contains(v.Reaches, "10.0.0.1") || slices.Contains(v.Reaches, "10.0.0.2:80") {
		t.Errorf("it reaches %q while it runs", v.Reaches)
	}
	if views, err := r.vms.List(t.Context(), true, "team=db"); err != nil || len(views) != 1 {
		t.Errorf("by its new label: %d VMs, %v", len(views), err)
	}
	if size := r.workDisk("dev"); size != 20<<30 || grown != 20<<30 || v.Boot.Shape.DiskBytes != 20<<30 {
		t.Errorf("the work disk has %d bytes, the guest was told %d, the boot %d", size, grown, v.Boot.Shape.DiskBytes)
	}
	if got.Spec.CPUs != 2 {
		t.Errorf("it was started with %d CPUs", got.Spec.CPUs)
	}
	r.ok(r.vms.Restart(t.Context(), "dev", 0, false, ""))
	v = r.view("dev")
	if len(v.Pending) != 0 || v.Boot.Shape.CPUs != 4 || got.Spec.CPUs != 4 || got.Spec.MemoryBytes != 1<<30+1<<20 {
		t.Errorf("then pending %q, boot %+v, launched with %d CPUs and %d bytes", v.Pending, v.Boot.Shape, got.Spec.CPUs, got.Spec.MemoryBytes)
	}
	if size := r.workDisk("dev"); size != 20<<30 {
		t.Errorf("the work disk has %d bytes", size)
	}
	if a := r.parts.plugged.Load().Allow; len(a) != 1 || a[0].String() != "10.0.0.2:80" {
		t.Errorf("the network was asked for %v", a)
	}
	if told := r.told("dev"); !slices.Contains(told, "changed") {
		t.Errorf("events: %q", told)
	}
}

func (r *rig) workDisk(name string) int64 {
	r.t.Helper()
	info, err := os.Stat(filepath.Join(r.vmDir(name), "work.img"))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.Size()
}

// A VM that does not run has all of it; what is larger only on paper can be
// taken back, what is there cannot.
func TestSetOfAStoppedVM(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	if res := r.changed(r.set("dev", change.Asked{CPUs: 3, DiskBytes: 30 << 30})); len(res.Pending) != 0 || len(res.Changed) != 2 {
		t.Errorf("%+v", res)
	}
	if v := r.view("dev"); len(v.Pending) != 0 || v.Spec.CPUs != 3 {
		t.Errorf("%q, %+v", v.Pending, v.Spec)
	}
	r.changed(r.set("dev", change.Asked{DiskBytes: 20 << 30}))
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if size := r.workDisk("dev"); size != 20<<30 {
		t.Errorf("the work disk has %d bytes", size)
	}
	if _, err := r.set("dev", change.Asked{DiskBytes: 19 << 30}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "cannot become smaller") {
		t.Errorf("a smaller disk: %v", err)
	}
	if res := r.changed(r.set("dev", change.Asked{CPUs: 3})); len(res.Changed) != 0 {
		t.Errorf("as it is: %+v", res)
	}
}

// Where one thing is refused nothing is changed, and the next step is said.
func TestSetRefused(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev", AllowHosts: []string{"10.0.0.1"}, Labels: map[string]string{"a": "b"}}, false))
	r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
	for name, c := range map[string]struct {
		vm    string
		asked change.Asked
		kind  fault.Kind
		says  string
	}{
		"CPUs":       {"dev", change.Asked{MemoryBytes: 1 << 30, CPUs: 65}, fault.Invalid, "65 vCPUs"},
		"memory":     {"dev", change.Asked{CPUs: 2, MemoryBytes: 1 << 20}, fault.Invalid, "1M"},
		"huge disk":  {"dev", change.Asked{CPUs: 2, DiskBytes: 17 << 40}, fault.Invalid, "17T"},
		"network":    {"dev", change.Asked{CPUs: 2, Network: "bridge9"}, fault.Invalid, "bridge9"},
		"exceptions": {"dev", change.Asked{CPUs: 2, Network: "none"}, fault.Invalid, "nothing to be allowed"},
		"address":    {"dev", change.Asked{CPUs: 2, Allow: []string{"host"}}, fault.Invalid, "no address"},
		"both":       {"dev", change.Asked{CPUs: 2, Allow: []string{"10.0.0.3"}, Disallow: []string{"10.0.0.3/32"}}, fault.Invalid, "to be allowed and not"},
		"label":      {"dev", change.Asked{CPUs: 2, Labels: map[string]string{"a": "x\n"}}, fault.Invalid, "cannot be a label"},
		"label both": {"dev", change.Asked{CPUs: 2, Labels: map[string]string{"a": "x"}, Unlabel: []string{"a"}}, fault.Invalid, "taken away"},
		"policy":     {"dev", change.Asked{CPUs: 2, Restart: "sometimes"}, fault.Invalid, "sometimes"},
		"count":      {"dev", change.Asked{CPUs: 2, Restart: "on-failure:0"}, fault.Invalid, "on-failure:0"},
		"throw away": {"tmp", change.Asked{Restart: "always"}, fault.Invalid, "removed when it stops"},
		"nobody":     {"none", change.Asked{CPUs: 2}, fault.NotFound, ""},
	} {
		_, err := r.set(c.vm, c.asked)
		if fault.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if f := fault.From(err); f != nil && f.Kind == fault.Invalid && f.Hint == "" {
			t.Errorf("%s: no next step", name)
		}
	}
	if f := fault.From(errOf(r.set("dev", change.Asked{Network: "none"}))); !strings.Contains(f.Hint, "--disallow-host 10.0.0.1") {
		t.Errorf("hint %q", f.Hint)
	}
	if v := r.view("dev"); v.Spec.CPUs != 1 || v.Spec.MemoryBytes != 512<<20 || len(v.Spec.AllowHosts) != 1 || v.Spec.Network != "user" {
		t.Errorf("it was changed: %+v", v.Spec)
	}
	r.changed(r.set("dev", change.Asked{Network: "none", Disallow: []string{"10.0.0.1"}}))
}

func errOf(_ operation.Record, err error) error { return err }

// A network for which the VM's kernel has no driver, or that its VMM has not.
func TestSetOfANetworkThatCannotBe(t *testing.T) {
	r := newKernelRig(t, "virtio_net")
	r.ok(r.create(spec.VM{Name: "dev", Kernel: "poor", Network: "none"}, false))
	if _, err := r.set("dev", change.Asked{Network: "user"}); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "lacks virtio_net") {
		t.Errorf("its kernel: %v", err)
	}
	r.ok(r.create(spec.VM{Name: "other", VMM: "other", Network: "none"}, false))
	r.vmms.missing = true
	if _, err := r.set("other", change.Asked{Network: "user"}); fault.KindOf(err) != fault.Precondition {
		t.Errorf("its VMM: %v", err)
	}
	if w := r.vmms.checked; w.VMM != "other" || w.Network != "user" {
		t.Errorf("VMMs were checked for %+v", w)
	}
	r.changed(r.set("other", change.Asked{CPUs: 2})) // which is for its next start to find
}

// A change that cannot be stored changes nothing.
func TestSetTakenBack(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	r.close()
	broken := errors.New("the store is broken")
	r.wrap = func(s vm.Store) vm.Store { return &failingStore{Store: s, err: broken} }
	r.open()
	if rec := r.done(r.set("dev", change.Asked{CPUs: 2})); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	if v := r.view("dev"); v.Spec.CPUs != 1 {
		t.Errorf("%d CPUs", v.Spec.CPUs)
	}
}

// failingStore changes nothing.
type failingStore struct {
	vm.Store
	err error
}

func (s *failingStore) ChangeVM(context.Context, string, func(*vm.Record) bool) error { return s.err }

// A daemon that ends before or after it has recorded a change leaves it to the
// next one, which records it once.
func TestDaemonRestartInASet(t *testing.T) {
	for _, stored := range []bool{false, true} {
		r := newRig(t)
		r.ok(r.create(spec.VM{Name: "dev"}, false))
		r.close()
		reached := make(chan struct{})
		r.wrap = func(s vm.Store) vm.Store { return &haltingStore{Store: s, stored: stored, reached: reached} }
		r.open()
		rec, err := r.set("dev", change.Asked{CPUs: 2})
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		r.close()
		r.wrap = nil
		r.open()
		if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
			t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
		}
		if v := r.view("dev"); v.Spec.CPUs != 2 {
			t.Errorf("stored %v: %d CPUs", stored, v.Spec.CPUs)
		}
	}
}

// haltingStore hangs at a change, before or after it is stored, until the daemon
// ends.
type haltingStore struct {
	vm.Store
	stored  bool
	reached chan struct{}
}

func (s *haltingStore) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error {
	if s.stored {
		if err := s.Store.ChangeVM(ctx, id, change); err != nil {
			return err
		}
	}
	select {
	case <-s.reached:
	default:
		close(s.reached)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// A disk that VMM or guest cannot grow now is as large as asked for at the next
// start; one whose growth is cut off is as large as it has become.
func TestSetDiskThatCannotGrowNow(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.GrowHook = func(context.Context, string, int64) error {
		return fault.New(fault.Precondition, "", "its VMM cannot")
	}
	if res := r.changed(r.set("dev", change.Asked{DiskBytes: 20 << 30})); !slices.Equal(res.Pending, []string{"disk"}) {
		t.Errorf("%+v", res)
	}
	r.host.GrowHook = func(context.Context, string, int64) error { return errors.New("the wire broke") }
	if rec := r.done(r.set("dev", change.Asked{DiskBytes: 30 << 30, CPUs: 3})); rec.State != operation.Failed {
		t.Fatalf("%+v", rec)
	}
	if v := r.view("dev"); v.Spec.DiskBytes != 30<<30 || r.workDisk("dev") != 30<<30 || v.Spec.CPUs != 1 || !slices.Equal(v.Pending, []string{"disk"}) {
		t.Errorf("%d bytes of %d, pending %q, %d CPUs", r.workDisk("dev"), v.Spec.DiskBytes, v.Pending, v.Spec.CPUs)
	}
	r.ok(r.vms.Restart(t.Context(), "dev", 0, false, ""))
	if v := r.view("dev"); len(v.Pending) != 0 || v.Boot.Shape.DiskBytes != 30<<30 {
		t.Errorf("then %q, %+v", v.Pending, v.Boot.Shape)
	}
}

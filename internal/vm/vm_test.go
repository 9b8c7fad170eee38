package vm_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func TestLife(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	if s, _ := r.state("dev"); s != vm.Stopped {
		t.Fatalf("made: %s", s)
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if s, _ := r.state("dev"); s != vm.Running {
		t.Fatalf("started: %s", s)
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, "")) // running already
	if r.host.Launches() != 1 {
		t.Errorf("a start of a running VM launched another machine")
	}
	if _, err := r.vms.Delete(t.Context(), "dev", false, ""); fault.KindOf(err) != fault.Precondition {
		t.Errorf("deleting a running VM: %v", err)
	}
	r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
	r.ok(r.vms.Stop(t.Context(), "dev", 0, "")) // stopped already
	if s, why := r.state("dev"); s != vm.Stopped || why != "" {
		t.Fatalf("stopped: %s %q", s, why)
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	if s, why := r.state("dev"); s != vm.Stopped || why != "it was killed" {
		t.Fatalf("killed: %s %q", s, why)
	}
	dir := r.vmDir("dev")
	r.ok(r.vms.Delete(t.Context(), "dev", false, ""))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the VM's directory is still there (%v)", err)
	}
	if _, err := r.vms.Inspect(t.Context(), "dev"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a deleted VM: %v", err)
	}
}

// What a guest may reach besides is checked before anything is made, kept in
// its one form, told, and handed to the network at each start.
func TestAllowedHosts(t *testing.T) {
	r := newRig(t)
	for want, s := range map[string]spec.VM{
		"no address":        {Name: "dev", AllowHosts: []string{"host"}},
		"bits beyond":       {Name: "dev", AllowHosts: []string{"10.0.0.1/8"}},
		"nothing to be all": {Name: "dev", AllowHosts: []string{"10.0.0.1"}, Network: "none"},
	} {
		if _, err := r.create(s, false); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", s.AllowHosts, err)
		}
	}
	r.ok(r.create(spec.VM{Name: "dev", AllowHosts: []string{"10.0.0.1/32:80", "[FD00::1]"}}, true))
	want := []string{"10.0.0.1:80", "fd00::1"}
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil || !slices.Equal(v.Spec.AllowHosts, want) || !slices.Equal(v.Reaches, append([]string{"Nothing."}, want...)) {
		t.Errorf("%q, %q, %v", v.Spec.AllowHosts, v.Reaches, err)
	}
	if a := r.parts.plugged.Load().Allow; len(a) != 2 || a[0].String() != want[0] || a[1].String() != want[1] {
		t.Errorf("the network was asked for %v", a)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	r := newRig(t)
	for name, s := range map[string]spec.VM{
		"path": {Name: "../x"}, "space": {Name: "a b"}, "long": {Name: strings.Repeat("x", 64)}, "dash": {Name: "-x"},
		"upper": {Name: "Dev"},
		"ID":    {Name: "0123456789ab"}, "image ID": {Name: "0123456789abcdef"}, "negative cpus": {Name: "a", CPUs: -1}, "500 cpus": {Name: "a", CPUs: 500},
		"1 MiB": {Name: "a", MemoryBytes: 1 << 20}, "10 TiB": {Name: "a", MemoryBytes: 10 << 40},
		"tiny disk": {Name: "a", DiskBytes: 1 << 20}, "network": {Name: "a", Network: "bridge9"},
		"disk driver": {Name: "a", DiskDriver: "zfs"}, "vmm": {Name: "a", VMM: "xen"}, "accel": {Name: "a", Accel: "magic"},
		"label": {Name: "a", Labels: map[string]string{"": "x"}},
	} {
		_, err := r.create(s, false)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if views, err := r.vms.List(t.Context(), true); err != nil || len(views) != 0 {
		t.Errorf("refused VMs left %d records (%v)", len(views), err)
	}
}

// What makes a host unfit is said before anything is begun; a VM that runs is not
// asked.
func TestPreflight(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "runs"}, true))
	r.ok(r.create(spec.VM{Name: "stopped"}, false))
	r.finds(fault.New(fault.Precondition, "", "there is no room"))
	if _, err := r.create(spec.VM{Name: "new"}, false); !errors.Is(err, r.found()) {
		t.Errorf("a VM is made: %v", err)
	}
	if _, err := r.vms.Boot(t.Context(), "stopped", vm.Start{}, ""); !errors.Is(err, r.found()) {
		t.Errorf("a VM is started: %v", err)
	}
	for _, name := range []string{"runs", "stopped"} {
		if _, err := r.vms.Restart(t.Context(), name, 0, false, ""); !errors.Is(err, r.found()) {
			t.Errorf("a VM is restarted: %v", err)
		}
	}
	r.ok(r.vms.Boot(t.Context(), "runs", vm.Start{}, ""))
	if s, why := r.state("runs"); s != vm.Running {
		t.Errorf("%s %q", s, why)
	}
	if ops, err := r.ops.List(t.Context(), false); err != nil || len(ops) > 0 {
		t.Errorf("%v goes on, %v", ops, err)
	}
}

func TestTakenName(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	rec := r.done(r.create(spec.VM{Name: "dev"}, false))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Exists {
		t.Fatalf("a second VM of the name: %s %v", rec.State, rec.Error)
	}
	if s, _ := r.state("dev"); s != vm.Stopped {
		t.Errorf("the first one is %s", s)
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.parts.failWork = fault.New(fault.Unavailable, "Make room.", "no space left")
	rec := r.done(r.create(spec.VM{Name: "dev"}, true))
	if rec.State != operation.Failed || rec.Error.Hint != "Make room." {
		t.Fatalf("%s %v", rec.State, rec.Error)
	}
	r.empty()
}

func TestCancelledCreateLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.parts.block = make(chan struct{})
	rec, err := r.create(spec.VM{Name: "dev"}, true)
	if err != nil {
		t.Fatal(err)
	}
	r.await("the record", func() bool { _, err := r.vms.Inspect(t.Context(), "dev"); return err == nil })
	if s, _ := r.state("dev"); s != vm.Creating {
		t.Errorf("in the making: %s", s)
	}
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.done(rec, nil); rec.State != operation.Canceled {
		t.Fatalf("cancelled: %s", rec.State)
	}
	r.empty()
}

// empty checks that no VM and no file of one is left.
func (r *rig) empty() {
	r.t.Helper()
	if views, err := r.vms.List(r.t.Context(), true); err != nil || len(views) != 0 {
		r.t.Errorf("%d records are left (%v)", len(views), err)
	}
	if entries, err := os.ReadDir(r.dir + "/vms"); err == nil && len(entries) > 0 {
		r.t.Errorf("%s is left", entries[0].Name())
	}
	if n := r.host.Running(); n != 0 {
		r.t.Errorf("%d machines are left", n)
	}
}

func TestGuestEndsByItself(t *testing.T) {
	r := newRig(t)
	for reason, want := range map[string]vm.State{
		machine.ExitPoweroff: vm.Stopped, machine.ExitCrashed: vm.Stopped, machine.ExitPanic: vm.Failed,
	} {
		name := "vm-" + reason
		r.ok(r.create(spec.VM{Name: name}, true))
		r.host.End(r.vmDir(name), reason)
		r.await("the end to be seen", func() bool { s, why := r.state(name); return s == want && why != "" })
	}
}

func TestAutoRemove(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
	r.host.End(r.vmDir("tmp"), machine.ExitPoweroff)
	r.await("the VM to be gone", func() bool {
		_, err := r.vms.Inspect(t.Context(), "tmp")
		return fault.KindOf(err) == fault.NotFound
	})
	r.empty()
}

func TestDeafGuestIsKilledAfterTheTimeout(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.Deaf = true
	r.ok(r.vms.Stop(t.Context(), "dev", 20*time.Millisecond, ""))
	if s, why := r.state("dev"); s != vm.Stopped || why != "it was killed" {
		t.Errorf("%s %q", s, why)
	}
}

// A VM whose driver hangs delays nobody else, and can be killed.
func TestHangingStartDelaysNobody(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "other"}, false))
	r.host.LaunchHook = func(ctx context.Context, l machine.Launch) error {
		if l.Spec.Name != "stuck" {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	stuck, err := r.create(spec.VM{Name: "stuck"}, true)
	if err != nil {
		t.Fatal(err)
	}
	r.await("it to be stuck", func() bool {
		v, err := r.vms.Inspect(t.Context(), "stuck")
		return err == nil && v.Made
	})
	if views, err := r.vms.List(t.Context(), true); err != nil || len(views) != 2 {
		t.Errorf("list: %d (%v)", len(views), err)
	}
	r.ok(r.vms.Boot(t.Context(), "other", vm.Start{}, ""))
	if _, err := r.vms.Stop(t.Context(), "stuck", 0, ""); fault.KindOf(err) != fault.Busy {
		t.Errorf("a stop beside the create: %v", err)
	}
	r.ok(r.vms.Kill(t.Context(), "stuck", ""))
	if rec := r.done(stuck, nil); rec.State != operation.Canceled {
		t.Errorf("the preempted create: %s", rec.State)
	}
}

func TestDaemonRestart(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"runs", "died", "off"} {
		r.ok(r.create(spec.VM{Name: name}, name != "off"))
	}
	died := r.vmDir("died")
	r.close()
	r.host.End(died, machine.ExitCrashed)
	r.open()
	for name, want := range map[string]vm.State{"runs": vm.Running, "died": vm.Stopped, "off": vm.Stopped} {
		if s, why := r.state(name); s != want {
			t.Errorf("%s: %s %q", name, s, why)
		}
	}
	if _, why := r.state("died"); !strings.Contains(why, "ended unexpectedly") {
		t.Errorf("the reason of the end is lost: %q", why)
	}
}

// A VM that a new daemon has not joined yet is there, and a stream to it may be
// had in a moment: nothing tells its client to give up.
func TestRunningButNotJoined(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.close()
	var silent atomic.Bool
	silent.Store(true)
	r.host.StatusHook = func() error {
		if silent.Load() {
			return fault.New(fault.Unavailable, "", "the monitor does not answer")
		}
		return nil
	}
	r.open()
	if s, why := r.state("dev"); s != vm.Running || why == "" {
		t.Errorf("%s %q", s, why)
	}
	if _, err := r.vms.Connect(t.Context(), "dev", 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("connecting: %v", err)
	}
	if views, err := r.vms.List(t.Context(), false); err != nil || len(views) != 1 {
		t.Errorf("those that run: %d (%v)", len(views), err)
	}
	silent.Store(false)
	r.await("it to be joined", func() bool { _, err := r.vms.Connect(t.Context(), "dev", 0); return err == nil })
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	if _, err := r.vms.Connect(t.Context(), "dev", 0); fault.KindOf(err) != fault.Precondition {
		t.Errorf("connecting to a stopped VM: %v", err)
	}
}

type reduced []string

func (r reduced) Reduced() []string { return r }

// What ends the units of VMs is said of those that are in some.
func TestUnitsReduceTheirVMs(t *testing.T) {
	r := newRig(t)
	r.vms.Units = reduced{"it ends with the moon"}
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	says := func() bool {
		v, err := r.vms.Inspect(t.Context(), "dev")
		return err == nil && slices.Contains(v.Reduced, "it ends with the moon")
	}
	if says() {
		t.Error("a VM that is in no unit has what reduces units")
	}
	r.host.Change(r.vmDir("dev"), func(s *machine.Status) { s.Units = []string{"a.scope"} })
	r.await("the VM to say it", says)
}

func TestDaemonRestartInACreate(t *testing.T) {
	r := newRig(t)
	r.parts.block = make(chan struct{})
	rec, err := r.create(spec.VM{Name: "dev"}, true)
	if err != nil {
		t.Fatal(err)
	}
	r.await("the record", func() bool { _, err := r.vms.Inspect(t.Context(), "dev"); return err == nil })
	r.close()
	r.parts.block = nil
	r.open()
	if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
		t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
	}
	if s, _ := r.state("dev"); s != vm.Running {
		t.Errorf("resumed: %s", s)
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	a := r.done(r.vms.Create(t.Context(), spec.VM{Name: "dev"}, vm.Creation{}, "key"))
	b := r.done(r.vms.Create(t.Context(), spec.VM{Name: "dev"}, vm.Creation{}, "key"))
	if a.ID != b.ID || b.State != operation.Succeeded {
		t.Errorf("the same key made %s and %s (%s)", a.ID, b.ID, b.State)
	}
}

// A client that lost its answer asks again, in another daemon perhaps, after
// the VM is gone.
func TestRepeatedRequestAfterTheVMIsGone(t *testing.T) {
	r := newRig(t)
	for name, ask := range map[string]func(key string) (operation.Record, error){
		"start":  func(key string) (operation.Record, error) { return r.vms.Boot(t.Context(), "dev", vm.Start{}, key) },
		"stop":   func(key string) (operation.Record, error) { return r.vms.Stop(t.Context(), "dev", 0, key) },
		"kill":   func(key string) (operation.Record, error) { return r.vms.Kill(t.Context(), "dev", key) },
		"delete": func(key string) (operation.Record, error) { return r.vms.Delete(t.Context(), "dev", true, key) },
	} {
		r.ok(r.create(spec.VM{Name: "dev"}, false))
		first := r.done(ask("key"))
		if name != "delete" {
			r.ok(r.vms.Delete(t.Context(), "dev", true, ""))
		}
		r.close()
		r.open()
		again, err := ask("key")
		if err != nil || again.ID != first.ID || again.State != operation.Succeeded {
			t.Errorf("%s again: %s %s, %v", name, again.ID, again.State, err)
		}
		if _, err := ask("another"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// Once a VM is made its disks hold somebody's work: a start that fails or is
// cancelled in the same operation does not take it away.
func TestFailedFirstStartKeepsTheVM(t *testing.T) {
	r := newRig(t)
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	rec := r.done(r.create(spec.VM{Name: "dev"}, true))
	if rec.State != operation.Failed || !strings.Contains(rec.Error.Message, "QEMU fell over") {
		t.Fatalf("%s %v", rec.State, rec.Error)
	}
	if _, err := os.Stat(r.vmDir("dev") + "/work.img"); err != nil {
		t.Errorf("the work disk: %v", err)
	}
	r.host.LaunchHook = nil
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if s, _ := r.state("dev"); s != vm.Running {
		t.Errorf("started again: %s", s)
	}
}

// One that never came to run goes too, though there was no end to be seen.
func TestAutoRemoveAfterAFailedStart(t *testing.T) {
	r := newRig(t)
	gone := func() bool {
		_, err := r.vms.Inspect(t.Context(), "tmp")
		return fault.KindOf(err) == fault.NotFound
	}
	r.host.LaunchHook = func(context.Context, machine.Launch) error { return errors.New("QEMU fell over") }
	if rec := r.done(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true)); rec.State != operation.Failed {
		t.Fatal(rec.State)
	}
	r.await("the VM that did not start to be gone", gone)

	launching := make(chan struct{})
	r.host.LaunchHook = func(ctx context.Context, _ machine.Launch) error {
		close(launching)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	rec, err := r.create(spec.VM{Name: "tmp", AutoRemove: true}, true)
	if err != nil {
		t.Fatal(err)
	}
	<-launching
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.done(rec, nil); rec.State != operation.Canceled {
		t.Fatal(rec.State)
	}
	r.await("the VM that was given up to be gone", gone)
	r.empty()
}

// A VM that was made to be thrown away and ends while no daemon is there goes
// when the next one comes, however late that one can see it.
func TestAutoRemoveAfterADaemonRestart(t *testing.T) {
	for name, silent := range map[string]int32{"seen at once": 0, "seen late": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
			dir := r.vmDir("tmp")
			r.close()
			r.host.End(dir, machine.ExitPoweroff)
			var asked atomic.Int32
			r.host.StatusHook = func() error {
				if asked.Add(1) <= silent {
					return fault.New(fault.Unavailable, "", "the monitor does not answer")
				}
				return nil
			}
			r.open()
			r.await("the VM to be gone", func() bool {
				_, err := r.vms.Inspect(t.Context(), "tmp")
				return fault.KindOf(err) == fault.NotFound
			})
			r.empty()
		})
	}
}

// So does one whose end the last daemon saw, but which it did not come to remove.
func TestAutoRemoveThatWasMissed(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "tmp"}, true))
	r.ok(r.vms.Kill(t.Context(), "tmp", ""))
	v, err := r.vms.Inspect(t.Context(), "tmp")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.ChangeVM(t.Context(), v.ID, func(r *vm.Record) bool { r.Spec.AutoRemove = true; return true }); err != nil {
		t.Fatal(err)
	}
	r.close()
	r.open()
	r.await("the VM to be gone", func() bool {
		_, err := r.vms.Inspect(t.Context(), "tmp")
		return fault.KindOf(err) == fault.NotFound
	})
	r.empty()
}

// A VM that has another one's ID as its name (older versions allowed that) does
// not take its place.
func TestNameLikeAnID(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.InsertVM(t.Context(), vm.Record{ID: "0123456789ab", Spec: spec.VM{Name: v.ID}}); err != nil {
		t.Fatal(err)
	}
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	if s, why := r.state("dev"); s != vm.Stopped || why != "it was killed" {
		t.Errorf("killed: %s %q", s, why)
	}
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	if s, _ := r.state("dev"); s != vm.Running {
		t.Errorf("started again: %s", s)
	}
}

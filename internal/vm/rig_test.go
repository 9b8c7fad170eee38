package vm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/disk"
	diskcopy "github.com/banger-vm/banger/internal/disk/copy"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine/fake"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/none"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/access"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/comeback"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/reset"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// rig is a daemon's worth of parts around a Manager, over a fake host that
// outlives it.
type rig struct {
	t     *testing.T
	dir   string
	host  *fake.Runtime
	parts *fakeParts
	vmms  *fakeVMMs

	kernels *fakeKernels
	vms     *vm.Manager
	ops     *operation.Registry
	store   *store.Store
	wrap    func(vm.Store) vm.Store // what the Manager has for a store
	events  *event.Log

	unfit atomic.Value // of noted, what preflight finds

	stopTimeout time.Duration
	zone        string

	changes   *change.Changer
	resets    *reset.Resetter
	comebacks *comeback.Keeper
	on        vm.Host // where the daemon runs
	now       func() time.Time

	capabilities []hook.Capability
	capacity     *capacity.Judge
}

func newRig(t *testing.T) *rig { return newRigWith(t, func(*rig) {}) }

func newRigWith(t *testing.T, with func(*rig)) *rig {
	r := &rig{t: t, dir: t.TempDir(), host: fake.New(), parts: &fakeParts{}, vmms: &fakeVMMs{}, kernels: &fakeKernels{}, stopTimeout: time.Minute, on: vm.Host{Boot: "boot1", Machine: "m1"}}
	with(r)
	r.open()
	t.Cleanup(r.close)
	return r
}

// open starts a daemon's parts on what is in the directory.
func (r *rig) open() {
	r.t.Helper()
	ctx := r.t.Context()
	if err := os.MkdirAll(filepath.Join(r.dir, "vms"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	db, err := store.Open(ctx, filepath.Join(r.dir, "banger.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r.store = db
	if r.events, err = event.Open(ctx, db, log, event.Config{Now: r.now, Decode: operation.EventData}); err != nil {
		r.t.Fatal(err)
	}
	claims := claim.NewTable()
	vms := vm.Store(db)
	if r.wrap != nil {
		vms = r.wrap(db)
	}
	disks := map[string]disk.Driver{"guestcow": r.parts, "copy": diskcopy.New()}
	r.vms = vm.New(vm.Parts{
		Store: vms, Runtime: r.host, Ports: r.host, Pauser: r.host, Resizer: r.host, Vitals: r.host, Images: r.parts, Kernels: r.kernels, Work: r.parts, VMMs: r.vmms,
		Disks:    disks,
		Networks: map[string]network.Driver{"user": r.parts, "none": none.New()},
		Access:   access.New(filepath.Join(r.dir, "ssh"), r.zone, func(id string) []string { return []string{"banger", "dial", id} }),
		Claims:   claims, Events: r.events, Log: log, Preflight: func(context.Context) error { return r.found() },
		Capabilities: r.capabilities, Capacity: r.capacity,
		Ended: func(id string) { r.comebacks.Ended(id) },
	}, vm.Config{Dir: filepath.Join(r.dir, "vms"), StopTimeout: r.stopTimeout, Host: r.on, Now: r.now})
	r.changes = change.New(r.vms, vms)
	r.resets = reset.New(r.vms, r.parts, disks)
	planners := r.vms.Planners()
	maps.Copy(planners, r.changes.Planners())
	maps.Copy(planners, r.resets.Planners())
	r.ops = operation.New(db, claims, r.events, log, operation.Config{Planners: planners, Now: r.now})
	r.comebacks = comeback.New(r.vms, vms, r.ops, log, comeback.Config{
		Host: r.on, BootFile: filepath.Join(r.dir, "host-boot"), First: 2 * time.Millisecond, Longest: 50 * time.Millisecond, Apart: time.Millisecond, Now: r.now,
	})
	if err := r.vms.Start(ctx, r.ops); err != nil {
		r.t.Fatal(err)
	}
	if err := r.comebacks.Start(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// noted is an error, or none.
type noted struct{ error }

// finds has preflight find something from now on; nil: nothing.
func (r *rig) finds(err error) { r.unfit.Store(noted{err}) }

func (r *rig) found() error {
	n, _ := r.unfit.Load().(noted)
	return n.error
}

// close stops them, as a daemon that ends.
func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.comebacks.Close()
	if err := r.ops.Close(ctx); err != nil {
		r.t.Error(err)
	}
	r.vms.Close()
	if err := errors.Join(r.events.Close(ctx), r.store.Close()); err != nil {
		r.t.Error(err)
	}
}

// done waits for an operation and returns its record.
func (r *rig) done(rec operation.Record, err error) operation.Record {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("the operation did not begin: %v", err)
	}
	rec, err = r.ops.Wait(r.t.Context(), rec.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// ok waits for an operation that must succeed.
func (r *rig) ok(rec operation.Record, err error) {
	r.t.Helper()
	if rec = r.done(rec, err); rec.State != operation.Succeeded {
		r.t.Fatalf("%s %s: %v", rec.Kind, rec.State, rec.Error)
	}
}

func (r *rig) create(s spec.VM, start bool) (operation.Record, error) {
	return r.vms.Create(r.t.Context(), s, vm.Creation{Start: start}, "")
}

func (r *rig) state(name string) (vm.State, string) {
	r.t.Helper()
	v, err := r.vms.Inspect(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return v.State, v.Reason
}

func (r *rig) vmDir(name string) string {
	r.t.Helper()
	v, err := r.vms.Inspect(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return v.Dir
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// told are the types of a VM's events so far, without "vm.".
func (r *rig) told(name string) (types []string) {
	r.t.Helper()
	v, err := r.vms.Inspect(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	events, _, _, err := r.events.Since(r.t.Context(), 0, "vm/"+v.ID, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range events {
		types = append(types, strings.TrimPrefix(e.Type, "vm."))
	}
	return types
}

// tells checks that they become these.
func (r *rig) tells(name string, want ...string) {
	r.t.Helper()
	r.await(fmt.Sprint(want), func() bool { return slices.Equal(r.told(name), want) })
}

// fakeParts are image, disks and network in one, with a fault where asked.
type fakeParts struct {
	plugged  atomic.Pointer[network.Request] // the last one
	resets   atomic.Int32
	base     disk.Base // of the image
	failWork error
	block    chan struct{} // making disks waits for it
}

func (*fakeParts) Name() string { return "guestcow" }

func (p *fakeParts) Ensure(context.Context, string, string, operation.Report) (vm.Image, func(), error) {
	return vm.Image{ID: "img1", User: "dev", Root: p.base}, func() {}, nil
}

func (p *fakeParts) Get(context.Context, string) (vm.Image, error) {
	return vm.Image{ID: "img1", User: "dev", Root: p.base}, nil
}

func (p *fakeParts) Make(ctx context.Context, path string, size int64, _ vm.Image) error {
	if p.block != nil {
		select {
		case <-p.block:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if p.failWork != nil {
		return p.failWork
	}
	return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size))
}

func (*fakeParts) Check(context.Context, string) error { return nil }
func (*fakeParts) Create(_ context.Context, dir string, _ disk.Base) (disk.Root, error) {
	return disk.Root{Mode: disk.RootCOW}, os.WriteFile(filepath.Join(dir, "layer.img"), nil, 0o600)
}

func (*fakeParts) Open(string, disk.Base) (disk.Root, error) {
	return disk.Root{Mode: disk.RootCOW, Drives: []disk.Drive{{Slot: disk.SlotLayer, Path: "layer.img"}}}, nil
}

func (*fakeParts) Backends() []network.Backend { return []network.Backend{network.BackendNone} }

func (p *fakeParts) Reset(_ context.Context, dir string, _ disk.Base) error {
	p.resets.Add(1)
	return os.WriteFile(filepath.Join(dir, "layer.img"), nil, 0o600)
}

func (*fakeParts) Delete(context.Context, string) error { return nil }
func (*fakeParts) Usage(string) (disk.Usage, error)     { return disk.Usage{}, nil }

func (*fakeParts) Exposure(allow []network.Exception) []string {
	list := []string{"Nothing."}
	for _, e := range allow {
		list = append(list, e.String())
	}
	return list
}

func (p *fakeParts) Apply(_ context.Context, req network.Request) (network.Attachment, error) {
	p.plugged.Store(&req)
	return network.Attachment{}, nil
}

func (*fakeParts) Release(context.Context, network.Request) error { return nil }

// fakeVMMs are "fake" and "other", which runs no guest when it is broken and
// may be missing.
type fakeVMMs struct {
	broken, missing bool
	last, checked   choose.Want
}

func (f *fakeVMMs) Check(_ context.Context, w choose.Want) error {
	f.checked = w
	if w.VMM != "" && w.VMM != choose.Auto && w.VMM != "fake" && w.VMM != "other" {
		return fault.New(fault.Invalid, "", "there is no VMM %q", w.VMM)
	}
	if f.missing && w.VMM == "other" {
		return fault.New(fault.Precondition, "Install it.", "other is not installed")
	}
	return nil
}

func (f *fakeVMMs) Choose(_ context.Context, w choose.Want) (choose.Choice, error) {
	f.last = w
	c := choose.Choice{VMM: "fake", Why: "chosen: it is a fake", Accel: vmm.AccelTCG, Isolation: vmm.IsolationNoPromise}
	if w.VMM == "other" {
		c = choose.Choice{VMM: "other", Why: "asked for", Accel: vmm.AccelKVM, Isolation: vmm.IsolationNamespaces}
	}
	if f.broken && (w.VMM == "other" || w.Guest.Kernel != "/k1") {
		return choose.Choice{}, fault.New(fault.Precondition, "Use another one.", "%s runs no guest with %s", c.VMM, w.Guest.Kernel)
	}
	return c, nil
}

// fakeKernels are "debian" and one that lacks things.
type fakeKernels struct {
	lacks    []string
	late     bool // what it lacks is found out when it is made
	released int
}

func (f *fakeKernels) Ensure(_ context.Context, name, _ string, _ operation.Report) (vm.Kernel, func(), error) {
	k, err := f.named(name)
	if err != nil {
		return k, nil, err
	}
	return k, func() { f.released++ }, nil
}

func (f *fakeKernels) Find(_ context.Context, name string) (vm.Kernel, error) {
	k, err := f.named(name)
	if f.late {
		k.ID, k.Lacks = "", nil
	}
	return k, err
}

func (f *fakeKernels) named(name string) (vm.Kernel, error) {
	switch name {
	case "", "debian":
		return vm.Kernel{ID: "k1", Name: "debian"}, nil
	case "poor":
		return vm.Kernel{ID: "k2", Name: "poor", Lacks: f.lacks}, nil
	}
	return vm.Kernel{}, fault.New(fault.NotFound, "", "there is no kernel %q", name)
}

func (f *fakeKernels) Get(_ context.Context, id string) (vm.Kernel, error) {
	if id == "k2" {
		return vm.Kernel{ID: "k2", Name: "poor", Lacks: f.lacks, Vmlinux: "/k1"}, nil
	}
	return vm.Kernel{ID: "k1", Name: "debian", Vmlinux: "/k1"}, nil
}

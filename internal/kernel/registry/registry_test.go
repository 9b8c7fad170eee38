package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/kerneltest"
	"github.com/banger-vm/banger/internal/kernel/local"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
)

type nobody struct{}

func (nobody) Publish(event.Event) {}

// rig is the part of a daemon that keeps kernels, over a real store and a real
// library; what it does not have is depmod and mke2fs.
type rig struct {
	*registry.Registry
	t       *testing.T
	dir     string
	library *kernel.Library
	store   *store.Store
	ops     *operation.Registry
	users   []string
	wrap    func(kernel.Source) kernel.Source
	puts    func(registry.Record) error // before a record is stored
}

// keeper is the store, with a fault where asked.
type keeper struct {
	*store.Store
	r *rig
}

func (k keeper) PutKernel(ctx context.Context, rec registry.Record) error {
	if k.r.puts != nil {
		if err := k.r.puts(rec); err != nil {
			return err
		}
	}
	return k.Store.PutKernel(ctx, rec)
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir()}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), filepath.Join(r.dir, "banger.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r.store = db
	r.library = kernel.New(kernel.Config{Dir: r.kernels()}, debian{}, kerneltest.Host(kerneltest.Dep), log)
	r.Registry = registry.New(keeper{db, r}, r.library, log, registry.Config{
		Users: func(context.Context, string) ([]string, error) { return slices.Clone(r.users), nil },
		Open: func(vmlinuz, modules string) kernel.Source {
			if src := local.New(vmlinuz, modules); r.wrap == nil {
				return src
			} else {
				return r.wrap(src)
			}
		},
	})
	r.ops = operation.New(db, claim.NewTable(), nobody{}, log, operation.Config{Planners: r.Planners()})
	if err := r.ops.Recover(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(r.ops.Close(ctx), r.store.Close()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) kernels() string { return filepath.Join(r.dir, "kernels") }

// debian is a source of the default kernel.
type debian struct{}

func (debian) Fetch(_ context.Context, dir string, _ kernel.Report) (kernel.Package, error) {
	return kernel.Package{Release: kerneltest.Release, Vmlinuz: "vmlinuz", Source: "a test"}, errors.Join(
		os.WriteFile(filepath.Join(dir, "vmlinuz"), kerneltest.Vmlinux(3000, kerneltest.Note), 0o644),
		kerneltest.WriteTree(filepath.Join(dir, "lib", "modules", kerneltest.Release), kerneltest.Release, kerneltest.Dep, nil),
	)
}

// given writes a kernel and its modules, and returns where.
func (r *rig) given() (vmlinuz, modules string) {
	r.t.Helper()
	dir := r.t.TempDir()
	if pkg, err := (debian{}).Fetch(r.t.Context(), dir, nil); err != nil {
		r.t.Fatal(err)
	} else {
		return filepath.Join(dir, pkg.Vmlinuz), filepath.Join(dir, "lib", "modules", pkg.Release)
	}
	return "", ""
}

func (r *rig) begin(name string) operation.Record {
	r.t.Helper()
	vmlinuz, modules := r.given()
	rec, err := r.Import(r.t.Context(), vmlinuz, modules, name, "", r.ops)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) end(rec operation.Record) operation.Record {
	r.t.Helper()
	rec, err := r.ops.Wait(r.t.Context(), rec.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) imported(name string) registry.Record {
	r.t.Helper()
	if rec := r.end(r.begin(name)); rec.State != operation.Succeeded {
		r.t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	k, err := r.Find(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *rig) delete(name string) operation.Record {
	r.t.Helper()
	rec, err := r.Delete(r.t.Context(), name, "", r.ops)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.end(rec)
}

// nothing checks that neither a file nor a record is left.
func (r *rig) nothing() {
	r.t.Helper()
	entries, err := os.ReadDir(r.kernels())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	list, err := r.List(r.t.Context())
	if err != nil || len(entries) > 0 || len(list) > 0 {
		r.t.Errorf("left: %v, %v, %v", entries, list, err)
	}
}

func quiet(string, int64, int64) {}

func TestImportAndDelete(t *testing.T) {
	r := newRig(t)
	k := r.imported("mine")
	if k.Origin != registry.Imported || k.Release != kerneltest.Release || k.SizeBytes == 0 || k.CreatedAt.IsZero() || len(k.Lacks) != 1 {
		t.Errorf("%+v", k)
	}
	other := r.imported("other") // the same files under another name
	list, err := r.List(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != k.ID || list[1].ID != other.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if rec := r.end(r.begin("mine")); rec.Error == nil || rec.Error.Kind != fault.Exists || !strings.Contains(rec.Error.Hint, "banger kernel rm mine") {
		t.Errorf("one of that name: %s, %v", rec.State, rec.Error)
	}
	for _, name := range []string{"mine", other.ID[:6]} {
		if rec := r.delete(name); rec.State != operation.Succeeded {
			t.Errorf("%s: %v", rec.State, rec.Error)
		}
	}
	r.nothing()
}

func TestNames(t *testing.T) {
	r := newRig(t)
	vmlinuz, modules := r.given()
	rec, err := r.Import(t.Context(), vmlinuz, modules, "", "", r.ops)
	if err != nil || r.end(rec).State != operation.Succeeded || rec.Name != kerneltest.Release {
		t.Errorf("without a name: %+v, %v", rec, err)
	}
	for _, name := range []string{"A", "../x", "a b", "-x", strings.Repeat("a", 64), "0123456789abcdef", registry.Default} {
		if _, err := r.Import(t.Context(), vmlinuz, modules, name, "", r.ops); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, paths := range [][2]string{{"vmlinuz", modules}, {vmlinuz, "modules"}, {"", modules}, {vmlinuz, ""}, {vmlinuz, "/a\x00b"}} {
		if _, err := r.Import(t.Context(), paths[0], paths[1], "x", "", r.ops); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", paths, err)
		}
	}
	if _, err := r.Find(t.Context(), ""); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// What is wrong with a kernel is the caller's to mend: no internal error.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	vmlinuz, modules := r.given()
	if _, err := r.Import(t.Context(), modules, modules, "x", "", r.ops); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a directory for a kernel: %v", err)
	}
	if _, err := r.Import(t.Context(), vmlinuz+".no", modules, "x", "", r.ops); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no kernel: %v", err)
	}
	for what, modules := range map[string]string{
		"an empty directory": t.TempDir(),
		"a part of one":      filepath.Join(modules, "kernel"),
	} {
		rec, err := r.Import(t.Context(), vmlinuz, modules, "x", "", r.ops)
		if err != nil {
			t.Fatal(err)
		}
		if rec = r.end(rec); rec.Error == nil || rec.Error.Kind != fault.Precondition || rec.Error.Hint == "" {
			t.Errorf("%s: %s, %+v", what, rec.State, rec.Error)
		}
		r.nothing()
	}
}

func TestRepeatedRequests(t *testing.T) {
	r := newRig(t)
	vmlinuz, modules := r.given()
	first, err := r.Import(t.Context(), vmlinuz, modules, "mine", "key", r.ops)
	if err != nil || r.end(first).State != operation.Succeeded {
		t.Fatal(err)
	}
	if err := os.Remove(vmlinuz); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Import(t.Context(), vmlinuz, modules, "mine", "key", r.ops); err != nil || again.ID != first.ID {
		t.Errorf("%+v, %v", again, err)
	}
	gone, err := r.Delete(t.Context(), "mine", "key", r.ops)
	if err != nil || r.end(gone).State != operation.Succeeded {
		t.Fatal(err)
	}
	if again, err := r.Delete(t.Context(), "mine", "key", r.ops); err != nil || again.ID != gone.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := r.Delete(t.Context(), "mine", "another", r.ops); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
}

// stuck is a source that tells when it has begun, writes something, and waits
// for its context.
type stuck struct{ began chan struct{} }

func (s stuck) Fetch(ctx context.Context, dir string, _ kernel.Report) (kernel.Package, error) {
	if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o600); err != nil {
		return kernel.Package{}, err
	}
	close(s.began)
	<-ctx.Done()
	return kernel.Package{}, context.Cause(ctx)
}

func TestCancelledImport(t *testing.T) {
	r := newRig(t)
	s := stuck{make(chan struct{})}
	r.wrap = func(kernel.Source) kernel.Source { return s }
	rec := r.begin("mine")
	<-s.began
	vmlinuz, modules := r.given()
	if _, err := r.Import(t.Context(), vmlinuz, modules, "mine", "", r.ops); fault.KindOf(err) != fault.Busy {
		t.Errorf("a second one meanwhile: %v", err)
	}
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.end(rec); rec.State != operation.Canceled {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	r.nothing()
}

// A daemon that ends in the middle leaves an import that the next one finishes.
func TestImportGoesOnAfterARestart(t *testing.T) {
	r := newRig(t)
	s := stuck{make(chan struct{})}
	r.wrap = func(kernel.Source) kernel.Source { return s }
	rec := r.begin("mine")
	<-s.began
	r.close()
	r.wrap = nil
	r.open()
	if rec = r.end(rec); rec.State != operation.Succeeded || rec.Resumed != 1 {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	r.delete("mine")
	r.nothing()
}

// A step that fails takes back what the steps before it did.
func TestFailedRecord(t *testing.T) {
	r := newRig(t)
	boom := errors.New("boom")
	r.puts = func(registry.Record) error { return boom }
	if rec := r.end(r.begin("mine")); rec.State != operation.Failed || !strings.Contains(rec.Error.Message, "boom") {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	r.nothing()
}

func TestInUse(t *testing.T) {
	r := newRig(t)
	k := r.imported("mine")
	r.users = []string{"web", "dev"}
	_, err := r.Delete(t.Context(), "mine", "", r.ops)
	if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "in use by dev, web") {
		t.Errorf("VMs run on it: %v", err)
	}
	r.users = nil
	got, release, err := r.Ensure(t.Context(), "mine", "the VM new", quiet)
	if err != nil || got.ID != k.ID {
		t.Fatal(err)
	}
	if rec := r.delete("mine"); rec.State != operation.Failed || !strings.Contains(rec.Error.Message, "the VM new") {
		t.Errorf("a lease: %s, %v", rec.State, rec.Error)
	}
	release()
	release() // harmless
	if rec := r.delete("mine"); rec.State != operation.Succeeded {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	if _, _, err := r.Ensure(t.Context(), "mine", "late", quiet); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a lease on a deleted kernel: %v", err)
	}
	r.nothing()
}

// A lease and a deletion at the same time: one of the two wins, never both.
func TestLeaseAgainstDelete(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		name := fmt.Sprintf("mine-%d", i)
		k := registry.Record{ID: fmt.Sprintf("%016x", i), Name: name}
		if err := r.store.PutKernel(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		var leased error
		var deleted operation.Record
		var wg sync.WaitGroup
		wg.Go(func() { _, _, leased = r.Ensure(t.Context(), name, "vm", quiet) })
		wg.Go(func() {
			if rec, err := r.Delete(t.Context(), name, "", r.ops); err == nil {
				deleted, _ = r.ops.Wait(t.Context(), rec.ID)
			}
		})
		wg.Wait()
		if (leased == nil) == (deleted.State == operation.Succeeded) {
			t.Fatalf("lease: %v, deletion: %s, %v", leased, deleted.State, deleted.Error)
		}
	}
}

func TestDefault(t *testing.T) {
	r := newRig(t)
	for range 2 {
		k, release, err := r.Ensure(t.Context(), "", "vm", quiet)
		if err != nil || k.Name != registry.Default || k.Origin != registry.Default {
			t.Fatalf("%+v, %v", k, err)
		}
		release()
	}
	list, err := r.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != registry.Default {
		t.Errorf("%+v, %v", list, err)
	}
	if rec := r.delete(registry.Default); rec.State != operation.Succeeded {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	r.nothing()
	again, release, err := r.Ensure(t.Context(), registry.Default, "vm", quiet)
	if err != nil || again.ID != list[0].ID {
		t.Fatalf("made again: %+v, %v", again, err)
	}
	release()
}

// The state of a daemon from before kernels had names.
func TestAdopt(t *testing.T) {
	r := newRig(t)
	if err := r.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.nothing()
	k, err := r.library.Ensure(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Adopt(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Find(t.Context(), registry.Default)
	if err != nil || got.ID != k.ID || got.Release != kerneltest.Release {
		t.Errorf("%+v, %v", got, err)
	}
}

// A newer default kernel takes the name from one that was damaged, which VMs
// may still stand on.
func TestNewerDefault(t *testing.T) {
	r := newRig(t)
	old := registry.Record{ID: "aabbccddeeff0011", Name: registry.Default, Origin: registry.Default, Release: "6.0"}
	if err := r.store.PutKernel(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	k, release, err := r.Ensure(t.Context(), "", "vm", quiet)
	if err != nil || k.Name != registry.Default || k.ID == old.ID {
		t.Fatalf("%+v, %v", k, err)
	}
	release()
	if was, err := r.Get(t.Context(), old.ID); err != nil || was.Name != "debian-aabbcc" {
		t.Errorf("%+v, %v", was, err)
	}
}

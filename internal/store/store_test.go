package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/doctor/residue"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newStore(t testing.TB) *Store { return openTest(t, filepath.Join(t.TempDir(), "banger.db")) }

func record(i int) vm.Record {
	return vm.Record{
		ID:        fmt.Sprintf("%016x", i*7919),
		Spec:      spec.VM{Name: fmt.Sprintf("vm-%04d", i), Image: "debian", CPUs: 2, MemoryBytes: 1 << 30, Labels: map[string]string{"n": fmt.Sprint(i)}},
		ImageID:   "0123456789abcdef",
		CreatedAt: time.Unix(1_800_000_000, 0).UTC(),
		Made:      true,
		Boot:      &vm.Boot{ID: "b", Status: &machine.Status{Version: 7, VMID: "x", Phase: machine.PhaseRunning}},
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if got := fault.KindOf(err); got != kind {
		t.Fatalf("kind %q of %v, want %q", got, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestVMs(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	a, b := record(1), record(2)
	a.ID, b.ID = "aa11", "aa22"
	for _, r := range []vm.Record{b, a} {
		if err := s.InsertVM(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]vm.Record{"aa1": a, "aa22": b, "vm-0001": a} {
		got, err := s.VM(ctx, ref)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	}
	_, err := s.VM(ctx, "aa")
	wantKind(t, err, fault.Invalid, `"aa"`)
	for _, ref := range []string{"", "a%", "zz", "vm-0009", "aa3"} {
		_, err = s.VM(ctx, ref)
		wantKind(t, err, fault.NotFound)
	}
	c := record(1)
	c.ID = "cc"
	wantKind(t, s.InsertVM(ctx, c), fault.Exists, `"vm-0001"`)
	unmake := func(r *vm.Record) bool { r.Made = false; return true }
	wantKind(t, s.ChangeVM(ctx, c.ID, unmake), fault.NotFound)
	wantKind(t, s.ChangeVM(ctx, b.ID, func(r *vm.Record) bool { r.Spec.Name = a.Spec.Name; return true }), fault.Exists)
	if err := s.ChangeVM(ctx, a.ID, unmake); err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeVM(ctx, b.ID, func(r *vm.Record) bool { r.Made = false; return false }); err != nil {
		t.Fatal(err)
	}
	all, err := s.VMs(ctx)
	if err != nil || len(all) != 2 || all[0].Made || !all[1].Made || all[1].ID != "aa22" {
		t.Fatal(all, err)
	}
	for range 2 {
		if err := s.DeleteVM(ctx, a.ID); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.VM(ctx, "vm-0001")
	wantKind(t, err, fault.NotFound)
}

func TestImages(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	img := image.Image{ID: "ff00", Name: "debian", User: "dev", SizeBytes: 1 << 35, CreatedAt: time.Unix(1, 0).UTC()}
	for range 2 {
		if err := s.InsertImage(ctx, img); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Image(ctx, "ff")
	if diff := cmp.Diff(img, got); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	img.ID = "ff11"
	wantKind(t, s.InsertImage(ctx, img), fault.Exists, "an image")
	if err := s.DeleteImage(ctx, "ff00"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Images(ctx); err != nil || len(all) != 0 {
		t.Fatal(all, err)
	}
}

func TestKernels(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	k := registry.Record{ID: "ff00", Name: "mine-6.12", Lacks: []string{"dm_snapshot"}, CreatedAt: time.Unix(1, 0).UTC()}
	for range 2 {
		if err := s.PutKernel(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"ff", "ff00", "mine-6.12"} {
		got, err := s.Kernel(ctx, ref)
		if diff := cmp.Diff(k, got); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	}
	other := k
	other.ID = "ff11"
	wantKind(t, s.PutKernel(ctx, other), fault.Exists, "a kernel")
	k.Name = "older"
	if err := s.PutKernel(ctx, k); err != nil {
		t.Fatal(err)
	}
	if err := s.PutKernel(ctx, other); err != nil {
		t.Fatal(err)
	}
	_, err := s.KernelByID(ctx, "ff")
	wantKind(t, err, fault.NotFound, "no kernel")
	all, err := s.Kernels(ctx)
	if diff := cmp.Diff([]registry.Record{other, k}, all); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	all[0].Lacks[0] = "changed by the caller"
	if again, err := s.Kernels(ctx); err != nil || again[0].Lacks[0] != "dm_snapshot" {
		t.Fatal(again, err)
	}
	if err := s.DeleteKernel(ctx, "ff00"); err != nil {
		t.Fatal(err)
	}
}

// A state of the version before kernels had names is brought to this one, and
// copied first.
func TestKernelsMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	s := openTest(t, path)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec("DROP TABLE kernels; PRAGMA user_version = 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path)
	if err := s.PutKernel(t.Context(), registry.Record{ID: "ff00", Name: "mine"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.VM(t.Context(), "vm-0001"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".v1"); err != nil {
		t.Fatal(err)
	}
}

// Those that end after the clock was set back are not the oldest.
func TestOperationsAfterTheClockWasSetBack(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	s.keepEnded = 5
	begin := time.Now()
	for i := range 3 * s.keepEnded {
		r := operation.Record{ID: fmt.Sprintf("%04x", i), Kind: "k", State: operation.Running}
		if _, err := s.InsertOperation(ctx, r); err != nil {
			t.Fatal(err)
		}
		r.State, r.EndedAt = operation.Succeeded, begin.Add(-time.Duration(i)*time.Hour)
		if err := s.UpdateOperation(ctx, r); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Operation(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Operations(ctx, true)
	if err != nil || len(all) != s.keepEnded || all[0].ID != "000e" || all[4].ID != "000a" {
		t.Fatal(len(all), err)
	}
}

func TestOperations(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	s.keepEnded = 30
	for i := range s.keepEnded + 20 {
		r := operation.Record{
			ID: fmt.Sprintf("%04x", i), Kind: "k", Key: fmt.Sprint("key", i), State: operation.Running,
			Steps: []operation.StepRecord{{Name: "one", State: operation.StepStarted}},
		}
		if _, err := s.InsertOperation(ctx, r); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			continue // runs on
		}
		r.EndedAt = time.Unix(int64(i), 0)
		r.State, r.Error = operation.Failed, &fault.Error{Kind: fault.Busy, Message: "m"}
		if err := s.UpdateOperation(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Operations(ctx, true)
	if err != nil || len(all) != s.keepEnded+1 || all[0].ID != fmt.Sprintf("%04x", s.keepEnded+19) {
		t.Fatal(len(all), err)
	}
	if all[0].Error.Kind != fault.Busy {
		t.Fatalf("%+v", all[0])
	}
	open, err := s.Operations(ctx, false)
	if err != nil || len(open) != 1 || open[0].ID != "0003" {
		t.Fatal(open, err)
	}
	open[0].State, open[0].EndedAt = operation.Succeeded, time.Unix(1e6, 0)
	if err := s.UpdateOperation(ctx, open[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Operation(ctx, "0003"); err != nil || got.State != operation.Succeeded {
		t.Fatal("one that ran for long is forgotten at its end", err)
	}
	existing, err := s.InsertOperation(ctx, operation.Record{ID: "beef", Kind: "k", Key: "key3"})
	if err != nil || existing == nil || existing.ID != "0003" {
		t.Fatal(existing, err)
	}
	if other, err := s.InsertOperation(ctx, operation.Record{ID: "beef", Kind: "other", Key: "key3"}); err != nil || other != nil {
		t.Fatal(other, err)
	}
	_, err = s.Operation(ctx, "00")
	wantKind(t, err, fault.Invalid)
	_, err = s.Operation(ctx, "ffff")
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.UpdateOperation(ctx, operation.Record{ID: "ffff"}), fault.NotFound)
	if got, err := s.Operation(ctx, "bee"); err != nil || got.ID != "beef" {
		t.Fatal(got, err)
	}
}

func TestEvents(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := uint64(1); i <= 30; i++ {
		e := event.Kept{Event: event.Event{Seq: i, Time: time.Unix(5, 6).UTC(), Type: "t", Target: fmt.Sprint("vm/", i%2)}}
		if i == 30 {
			e.Data = []byte(`{"a":1}`)
		}
		mark, err := s.SaveEvents(ctx, []event.Kept{e}, event.Mark{Reserved: i + 10}, 20)
		if want := max(i, 20) - 20; err != nil || mark.Gap != want {
			t.Fatal(i, mark, err)
		}
	}
	got, err := s.EventsAfter(ctx, 0, 1<<63, "vm/0", 100)
	if err != nil || len(got) != 10 || got[0].Seq != 12 || string(got[9].Data) != `{"a":1}` || got[0].Data != nil {
		t.Fatal(got, err)
	}
	if got, err = s.EventsAfter(ctx, 12, 20, "", 3); err != nil || len(got) != 3 || got[0].Seq != 13 || !got[0].Time.Equal(time.Unix(5, 6)) {
		t.Fatal(got, err)
	}
	if mark, err := s.EventMark(ctx); err != nil || mark.Reserved != 40 || mark.Gap != 10 || mark.Clean {
		t.Fatal(mark, err)
	}
}

// What is stored survives a process that never closes the file.
func TestKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	s := openTest(t, path)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "banger.db")
	for _, suffix := range []string{"", "-wal"} { // what the kernel has at that instant
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openTest(t, copied).VM(t.Context(), "vm-0001"); err != nil {
		t.Fatal(err)
	}
}

func TestDamaged(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	s, err := Open(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := s.InsertVM(t.Context(), record(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "banger.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), path)
		wantKind(t, err, fault.Precondition, "damaged", path)
		if left, err := os.ReadFile(path); err != nil || string(left) != string(data) {
			t.Errorf("the damaged file was changed (%v)", err)
		}
	}
	t.Run("empty", func(t *testing.T) { check(t, nil) })
	t.Run("no database", func(t *testing.T) { check(t, []byte(strings.Repeat("hello world\n", 1000))) })
	t.Run("truncated", func(t *testing.T) {
		for _, n := range []int{1, 50, 100, 4096, 5000, len(data) / 2, len(data) - 1} {
			check(t, data[:n])
		}
	})
	t.Run("overwritten", func(t *testing.T) {
		bad := append([]byte(nil), data...)
		for i := 8192; i < 8192+4096; i++ {
			bad[i] = 0x5a
		}
		check(t, bad)
	})
}

func TestNewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	s := openTest(t, path)
	if _, err := s.write.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path)
	wantKind(t, err, fault.Precondition, "version 99", "up to 2", path)
}

// A migration that fails half-way leaves the file as it was.
func TestMigrationIsWhole(t *testing.T) {
	s := newStore(t)
	if _, err := s.write.Exec("PRAGMA user_version = 0; DROP TABLE vms"); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), s.write.DB, "x", true); err == nil {
		t.Fatal("made tables that were there")
	}
	var n int
	if err := s.read.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'vms'").Scan(&n); err != nil || n != 0 {
		t.Fatal("the failed migration left a table behind", err)
	}
}

func TestBackup(t *testing.T) {
	s := newStore(t)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "banger.db.v1")
	for range 2 {
		if err := backup(t.Context(), s.write.DB, to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openTest(t, to).VM(t.Context(), "vm-0001"); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	if !disktest.Private(t) {
		return
	}
	used, unused := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), filepath.Join(used, "banger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{used, unused} {
		disktest.ReadOnly(t, dir)
		_, err := Open(t.Context(), filepath.Join(dir, "banger.db"))
		wantKind(t, err, fault.Precondition, "cannot be written")
	}
}

// On a full disk writes say so, reads go on, and writes work again later.
func TestFullDisk(t *testing.T) {
	if !disktest.Private(t) {
		return
	}
	dir := disktest.TinyFS(t, 4<<20)
	s, ctx := openTest(t, filepath.Join(dir, "banger.db")), t.Context()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	var full error
	inserted := 0
	for ; inserted < 5000 && full == nil; inserted++ {
		full = s.InsertVM(ctx, record(inserted))
	}
	wantKind(t, full, fault.Unavailable, "space")
	inserted--
	if all, err := s.VMs(ctx); err != nil || len(all) != inserted {
		t.Fatal(len(all), inserted, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.InsertVM(ctx, record(inserted)); err != nil {
		t.Fatal(err)
	}
}

// Refs never reach SQL as anything but values, and prefixes agree with a scan.
func TestRefProperty(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[0-9a-f]{4}`), 40, 40, rapid.ID[string]).Example(1)
	for i, id := range ids {
		r := record(i)
		r.ID = id
		if err := s.InsertVM(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		ref := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{1,4}`), rapid.String()).Draw(rt, "ref")
		var match []string
		for _, id := range ids {
			if ref != "" && strings.HasPrefix(id, ref) {
				match = append(match, id)
			}
		}
		got, err := s.VM(ctx, ref)
		want := map[int]fault.Kind{0: fault.NotFound, 1: ""}
		kind, ok := want[len(match)]
		if !ok {
			kind = fault.Invalid
		}
		if fault.KindOf(err) != kind || kind == "" && got.ID != match[0] {
			rt.Fatalf("%q: %v, %v; matches %v", ref, got.ID, err, match)
		}
	})
}

func TestReadersDoNotWait(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	err := s.tx(ctx, func(*sql.Tx) error {
		_, err := s.VMs(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCanceled(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.InsertVM(ctx, record(1)); fault.KindOf(err) != fault.Canceled {
		t.Fatal(err)
	}
}

// modernc.org/libc must be the version that modernc.org/sqlite was made with
// (its documentation; another one breaks in odd ways).
func TestLibcVersion(t *testing.T) {
	ours := required(t, filepath.Join("..", "..", "go.mod"), "modernc.org/libc")
	version := required(t, filepath.Join("..", "..", "go.mod"), "modernc.org/sqlite")
	theirs := required(t, filepath.Join(modcache(t), "modernc.org", "sqlite@"+version, "go.mod"), "modernc.org/libc")
	if ours != theirs {
		t.Fatalf("go.mod has modernc.org/libc %s, modernc.org/sqlite %s wants %s", ours, version, theirs)
	}
}

func BenchmarkVMs1000(b *testing.B) {
	s := newStore(b)
	for i := range 1000 {
		if err := s.InsertVM(b.Context(), record(i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if all, err := s.VMs(b.Context()); err != nil || len(all) != 1000 {
			b.Fatal(len(all), err)
		}
	}
}

func BenchmarkUpdateOperation(b *testing.B) {
	for _, state := range []operation.State{operation.Running, operation.Succeeded} {
		b.Run(string(state), func(b *testing.B) { benchmarkUpdate(b, state) })
	}
}

func benchmarkUpdate(b *testing.B, state operation.State) {
	s := newStore(b)
	r := operation.Record{ID: "aa", Kind: "vm.create", State: operation.Running, Steps: make([]operation.StepRecord, 6)}
	if _, err := s.InsertOperation(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	old := operation.Record{Kind: "old", State: operation.Succeeded}
	for i := range s.keepEnded {
		old.ID, old.EndedAt = fmt.Sprintf("%04x", i), time.Unix(int64(i), 0)
		if _, err := s.InsertOperation(b.Context(), old); err != nil {
			b.Fatal(err)
		}
	}
	r.State, r.EndedAt = state, time.Unix(1e6, 0)
	for b.Loop() {
		if err := s.UpdateOperation(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "banger.db")
	s := openTest(b, path)
	for i := range 1000 {
		if err := s.InsertVM(b.Context(), record(i)); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	for b.Loop() {
		s, err := Open(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// What is looked up by its ID is never another thing of that name.
func TestByIDAgainstNames(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	a, b := record(1), record(2)
	b.Spec.Name = a.ID
	for _, r := range []vm.Record{a, b} {
		if err := s.InsertVM(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.VMByID(ctx, a.ID); err != nil || got.ID != a.ID {
		t.Errorf("by ID: %s, %v", got.ID, err)
	}
	if got, err := s.VM(ctx, a.ID); err != nil || got.ID != b.ID {
		t.Errorf("as a user names it: %s, %v", got.ID, err)
	}
	for _, ref := range []string{a.Spec.Name, a.ID[:15], ""} {
		_, err := s.VMByID(ctx, ref)
		wantKind(t, err, fault.NotFound)
	}
	for _, i := range []image.Image{{ID: "aa", Name: "debian"}, {ID: "bb", Name: "aa"}} {
		if err := s.InsertImage(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.ImageByID(ctx, "aa"); err != nil || got.Name != "debian" {
		t.Errorf("by ID: %+v, %v", got, err)
	}
	_, err := s.ImageByID(ctx, "debian")
	wantKind(t, err, fault.NotFound)
}

// No change is lost to another one at the same time.
func TestChangesAtOnce(t *testing.T) {
	s := newStore(t)
	r := record(1)
	r.Spec.CPUs = 0
	if err := s.InsertVM(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := s.ChangeVM(t.Context(), r.ID, func(r *vm.Record) bool { r.Spec.CPUs++; return true }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := s.VMByID(t.Context(), r.ID); err != nil || got.Spec.CPUs != 50 {
		t.Errorf("%d of 50 changes are there (%v)", got.Spec.CPUs, err)
	}
}

// It is looked at while another has it open, and nothing is changed.
func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
	s := openTest(t, path)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	look, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	if err := s.InsertVM(t.Context(), record(2)); err != nil {
		t.Errorf("it is in the way of its owner: %v", err)
	}
	if vms, err := look.VMs(t.Context()); err != nil || len(vms) != 2 {
		t.Errorf("it sees %d VMs, %v", len(vms), err)
	}
	if have, newest, err := look.Version(t.Context()); err != nil || have != newest || newest < 1 {
		t.Errorf("version %d of %d, %v", have, newest, err)
	}
	if _, err := look.read.ExecContext(t.Context(), "DELETE FROM vms"); err == nil {
		t.Error("it can be changed")
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReadOnly(t.Context(), bad); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a damaged one: %v", err)
	}
}

// Neither is the log of a daemon that was killed folded in: what is found damaged
// must stay as it was.
func TestOpenReadOnlyLeavesTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	s := openTest(t, path)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "banger.db")
	var before [][]byte
	files := []string{left, left + "-wal"}
	for i, from := range []string{path, path + "-wal"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(files[i], text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, text)
	}
	look, err := OpenReadOnly(t.Context(), left)
	if err != nil {
		t.Fatal(err)
	}
	if vms, err := look.VMs(t.Context()); err != nil || len(vms) != 1 {
		t.Errorf("it sees %d VMs, %v", len(vms), err)
	}
	if err := look.Close(); err != nil {
		t.Error(err)
	}
	for i, file := range files {
		if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text, before[i]) {
			t.Errorf("%s has changed: %v", file, err)
		}
	}
}

// What an operation works on may run, and need not be whole.
func TestKnown(t *testing.T) {
	s := newStore(t)
	runs, ended, busy := record(1), record(2), record(3)
	ended.Boot.Exit, busy.Boot = &machine.Exit{}, nil
	for _, r := range []vm.Record{runs, ended, busy} {
		if err := s.InsertVM(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.InsertOperation(t.Context(), operation.Record{ID: "01", Kind: "vm.start", Target: "vm/" + busy.ID, State: operation.Running}); err != nil {
		t.Fatal(err)
	}
	// One that was never made; one that was, and is gone; one whose first start failed.
	for _, op := range []operation.Record{
		{ID: "02", Kind: "vm.create", Target: "vm/0a0a", State: operation.Canceled},
		{ID: "03", Kind: "vm.create", Target: "vm/0b0b", State: operation.Failed},
		{ID: "04", Kind: "vm.delete", Target: "vm/0b0b", State: operation.Succeeded},
		{ID: "05", Kind: "vm.create", Target: "vm/" + ended.ID, State: operation.Failed},
		{ID: "06", Kind: "vm.create", Target: "vm/0c0c", State: operation.Succeeded},
	} {
		if _, err := s.InsertOperation(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.InsertImage(t.Context(), image.Image{ID: "0a", Name: "debian"}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Known(t.Context())
	want := residue.NewKnown(true)
	want.VMs[runs.ID] = residue.VM{Name: "vm-0001", Runs: true, Made: true}
	want.VMs[ended.ID] = residue.VM{Name: "vm-0002", Made: true}
	want.VMs[busy.ID] = residue.VM{Name: "vm-0003", Runs: true}
	want.Images["0a"], want.Unmade["0a0a"] = "debian", true
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

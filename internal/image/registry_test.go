package image

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// memory is a Store in memory.
type memory struct {
	mu   sync.Mutex
	rows map[string]Image
	err  error // of InsertImage
}

func (m *memory) InsertImage(_ context.Context, i Image) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.rows {
		if other.Name == i.Name && other.ID != i.ID {
			return fault.New(fault.Exists, "", "the name %s is taken", i.Name)
		}
	}
	if m.err == nil {
		m.rows[i.ID] = i
	}
	return m.err
}

func (m *memory) DeleteImage(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, id)
	return nil
}

func (m *memory) Image(_ context.Context, ref string) (Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.rows {
		if i.Name == ref || strings.HasPrefix(i.ID, ref) {
			return i, nil
		}
	}
	return Image{}, fault.New(fault.NotFound, "", "there is no image %s", ref)
}

func (m *memory) ImageByID(_ context.Context, id string) (Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.rows[id]; ok {
		return i, nil
	}
	return Image{}, fault.New(fault.NotFound, "", "there is no image %s", id)
}

func (m *memory) Images(context.Context) ([]Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Image
	for _, i := range m.rows {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// fakeMaker writes two small files.
type fakeMaker struct {
	made int
	err  error
}

func (f *fakeMaker) Make(_ context.Context, dir string, report operation.Report) (Image, error) {
	f.made++
	report(operation.Progress{Phase: "image: installing", Done: 1, Total: 2})
	if err := os.WriteFile(filepath.Join(dir, RootFile), []byte("ext4"), 0o444); err != nil {
		return Image{}, err
	}
	if f.err != nil {
		return Image{}, f.err
	}
	return Image{User: "dev", UID: 1000, GID: 1000, OS: "Debian", SizeBytes: 4}, os.Mkdir(filepath.Join(dir, SkelName), 0o755)
}

func (f *fakeMaker) Discard(_ context.Context, dir string) error { return os.RemoveAll(dir) }

type world struct {
	*Registry
	store *memory
	maker *fakeMaker
	users []string
}

func newWorld(t *testing.T) *world {
	w := &world{store: &memory{rows: map[string]Image{}}, maker: &fakeMaker{}}
	w.Registry = NewRegistry(w.store, w.maker, slog.New(slog.DiscardHandler), Config{
		Dir:   filepath.Join(t.TempDir(), "images"),
		Users: func(context.Context, string) ([]string, error) { return slices.Clone(w.users), nil },
	})
	return w
}

func noReport(operation.Progress) {}

// record is how the journal gives a request back after a crash.
func record(t *testing.T, req operation.Request) operation.Record {
	t.Helper()
	raw, err := json.Marshal(req.Params)
	if err != nil {
		t.Fatal(err)
	}
	return operation.Record{ID: "op", Kind: req.Kind, Params: raw}
}

// perform runs a request's steps, and undoes them when one fails.
func (w *world) perform(t *testing.T, req operation.Request) error {
	t.Helper()
	plan, err := w.Planners()[req.Kind](record(t, req))
	if err != nil {
		return err
	}
	for i, step := range plan.Steps {
		if err := step.Do(t.Context(), noReport); err != nil {
			for _, s := range slices.Backward(plan.Steps[:i+1]) {
				if s.Undo != nil {
					err = errors.Join(err, s.Undo(t.Context()))
				}
			}
			return err
		}
	}
	return nil
}

func (w *world) bootstrap(t *testing.T, name string) (Image, error) {
	t.Helper()
	req, err := w.BootstrapRequest(t.Context(), name, "")
	if err == nil {
		err = w.perform(t, req)
	}
	if err != nil {
		return Image{}, err
	}
	return w.Find(t.Context(), name)
}

func (w *world) remove(t *testing.T, ref string) error {
	t.Helper()
	req, err := w.deleteRequest(t.Context(), ref, "")
	if err != nil {
		return err
	}
	return w.perform(t, req)
}

// files are the names in the registry's directory.
func (w *world) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(w.cfg.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBootstrapFindDelete(t *testing.T) {
	w := newWorld(t)
	img, err := w.bootstrap(t, "debian")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := os.ReadFile(img.Path); err != nil || string(body) != "ext4" || img.User != "dev" || img.CreatedAt.IsZero() {
		t.Fatalf("got %+v, %v", img, err)
	}
	if list, err := w.List(t.Context()); err != nil || len(list) != 1 || list[0].Path != img.Path {
		t.Fatalf("got %+v, %v", list, err)
	}
	if _, err := w.bootstrap(t, "debian"); fault.KindOf(err) != fault.Exists || w.maker.made != 1 {
		t.Fatalf("a second one: got %v after %d makings", err, w.maker.made)
	}
	if err := w.remove(t, img.ID[:6]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Find(t.Context(), "debian"); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("a deleted image: got %v", err)
	}
	if left := w.files(t); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestBootstrapFailureLeavesNothing(t *testing.T) {
	boom := errors.New("boom")
	for name, spoil := range map[string]func(*world){
		"making":    func(w *world) { w.maker.err = boom },
		"recording": func(w *world) { w.store.err = boom },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			spoil(w)
			if _, err := w.bootstrap(t, "debian"); !errors.Is(err, boom) {
				t.Fatalf("got %v", err)
			}
			if left := w.files(t); len(left) > 0 || len(w.store.rows) > 0 {
				t.Fatalf("left behind: %v, %v", left, w.store.rows)
			}
		})
	}
}

// A daemon that dies in the middle of any step leaves something that the next
// one finishes or undoes.
func TestBootstrapAfterACrash(t *testing.T) {
	for crashed := range 3 {
		for _, undo := range []bool{false, true} {
			w := newWorld(t)
			req, err := w.BootstrapRequest(t.Context(), "debian", "")
			if err != nil {
				t.Fatal(err)
			}
			plan, err := w.Planners()[req.Kind](record(t, req))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range plan.Steps[:crashed+1] {
				if err := s.Do(t.Context(), noReport); err != nil {
					t.Fatal(err)
				}
			}
			// What a killed Make leaves.
			if err := os.MkdirAll(w.halfDir(req.Params.(params).ID), 0o755); err != nil {
				t.Fatal(err)
			}
			if undo {
				for _, s := range slices.Backward(plan.Steps[:crashed+1]) {
					if s.Undo == nil {
						continue
					}
					for range 2 { // it may be undone twice
						if err := s.Undo(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				if left := w.files(t); crashed > 0 && len(left) > 0 || len(w.store.rows) > 0 {
					t.Fatalf("undone after step %d: left %v, %v", crashed, left, w.store.rows)
				}
				continue
			}
			for _, s := range plan.Steps[crashed:] {
				done := false
				if s.Done != nil {
					if done, err = s.Done(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if !done {
					if err := s.Do(t.Context(), noReport); err != nil {
						t.Fatalf("resumed after step %d: %v", crashed, err)
					}
				}
			}
			if img, err := w.Find(t.Context(), "debian"); err != nil || w.maker.made != 1 {
				t.Fatalf("resumed after step %d: %+v, %v, made %d times", crashed, img, err, w.maker.made)
			}
		}
	}
}

func TestDeleteRefusesImageInUse(t *testing.T) {
	w := newWorld(t)
	img, err := w.bootstrap(t, "debian")
	if err != nil {
		t.Fatal(err)
	}
	w.users = []string{"web", "dev"}
	err = w.remove(t, "debian")
	if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "in use by dev, web") {
		t.Fatalf("got %v", err)
	}
	w.users = nil
	release, err := w.Lease(t.Context(), img.ID, "the VM new")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.remove(t, "debian"); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "the VM new") {
		t.Fatalf("a leased image: got %v", err)
	}
	release()
	release() // harmless
	if err := w.remove(t, "debian"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lease(t.Context(), img.ID, "late"); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("a lease on a deleted image: got %v", err)
	}
}

// A lease and a deletion at the same time: one of the two wins, never both.
func TestLeaseAgainstDelete(t *testing.T) {
	for range 200 {
		w := newWorld(t)
		id := newID()
		if err := w.store.InsertImage(t.Context(), Image{ID: id, Name: "debian"}); err != nil {
			t.Fatal(err)
		}
		var leased, deleted error
		var wg sync.WaitGroup
		wg.Go(func() { _, leased = w.Lease(t.Context(), id, "vm") })
		wg.Go(func() { deleted = w.forget(t.Context(), params{ID: id, Name: "debian"}) })
		wg.Wait()
		if (leased == nil) == (deleted == nil) {
			t.Fatalf("lease: %v, deletion: %v", leased, deleted)
		}
	}
}

func TestBadNamesAndIDs(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "../x", "a b", "Debian", "-x", strings.Repeat("a", 64), "ä", newID(), "0123456789ab"} {
		if _, err := w.BootstrapRequest(t.Context(), name, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, id := range []string{"", "../..", "abc", strings.Repeat("g", 16)} {
		rec := record(t, operation.Request{Kind: KindDelete, Params: params{ID: id, Name: "x"}})
		if _, err := w.planDelete(rec); fault.KindOf(err) != fault.Invalid {
			t.Errorf("ID %q: got %v", id, err)
		}
	}
	if _, err := w.Find(t.Context(), ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no name: got %v", err)
	}
}

// An image that has another one's ID as its name does not take its place.
func TestNameLikeAnID(t *testing.T) {
	w := newWorld(t)
	id := newID()
	for _, img := range []Image{{ID: newID(), Name: id}, {ID: id, Name: "debian"}} {
		if err := w.store.InsertImage(t.Context(), img); err != nil {
			t.Fatal(err)
		}
	}
	if img, err := w.Get(t.Context(), id); err != nil || img.Name != "debian" {
		t.Errorf("got %+v, %v", img, err)
	}
	if err := w.store.DeleteImage(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lease(t.Context(), id, "vm"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a lease on a deleted image: got %v", err)
	}
}

package kernel

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel/kerneltest"
)

// fakeSource is a source of a tiny kernel.
type fakeSource struct {
	mu      sync.Mutex
	fetched int
	err     error
	vmlinux []byte
	dep     string
	pack    func([]byte) ([]byte, string)
	also    func(tree string) error
}

func (s *fakeSource) Fetch(ctx context.Context, dir string, report Report) (Package, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched++
	report("kernel: downloading", 1, 2)
	if err := os.MkdirAll(filepath.Join(dir, "boot"), 0o755); err != nil {
		return Package{}, err
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "boot", "vmlinuz"), s.vmlinux, 0o644),
		kerneltest.WriteTree(filepath.Join(dir, "lib", "modules", kerneltest.Release), kerneltest.Release, s.dep, s.pack),
	)
	if s.also != nil {
		err = errors.Join(err, s.also(filepath.Join(dir, "lib", "modules", kerneltest.Release)))
	}
	if err != nil {
		return Package{}, err
	}
	return Package{Release: kerneltest.Release, Vmlinuz: "boot/vmlinuz", Source: "a test"}, s.err
}

func newLibrary(t *testing.T) (*Library, *fakeSource, *hostexec.Recorder) {
	t.Helper()
	src := &fakeSource{vmlinux: kerneltest.Vmlinuz(tinyELF(2000)), dep: kerneltest.Dep}
	run := &hostexec.Recorder{Reply: func(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
		return kerneltest.Host(src.dep).Reply(ctx, cmd)
	}}
	return New(Config{Dir: filepath.Join(t.TempDir(), "kernels")}, src, run, slog.New(slog.DiscardHandler)), src, run
}

// tinyELF is a kernel with a segment of n bytes.
func tinyELF(n int) []byte { return kerneltest.Vmlinux(n, kerneltest.Note) }

func quiet(string, int64, int64) {}

func TestEnsureMakesOnce(t *testing.T) {
	l, src, run := newLibrary(t)
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			k, err := l.Ensure(t.Context(), quiet)
			if err != nil {
				t.Error(err)
			}
			ids[i] = k.ID
		})
	}
	wg.Wait()
	if src.fetched != 1 {
		t.Fatalf("fetched %d times", src.fetched)
	}
	k, err := l.Get(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(k.Vmlinux)
	if err != nil || !bytes.Equal(got, tinyELF(2000)) {
		t.Fatalf("the vmlinux differs: %v", err)
	}
	if k.Release != kerneltest.Release || len(k.Modules) != 13 || k.Modules[0] != "000-virtio_ring.ko" {
		t.Fatalf("got %+v", k)
	}
	lines := run.String()
	for _, want := range []string{"depmod -b /", "mke2fs -q -F -t ext4 -b 4096", " -d /", "/modules.ext4 "} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in:\n%s", want, lines)
		}
	}
}

// leftovers are the names in the library beside whole kernels.
func leftovers(t *testing.T, l *Library) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(l.cfg.Dir, scratch+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestEnsureFailsCleanly(t *testing.T) {
	missing := strings.ReplaceAll(kerneltest.Dep, "virtio_blk", "virtio_other")
	for _, c := range []struct {
		name, want string
		kind       fault.Kind
		spoil      func(*fakeSource, *hostexec.Recorder)
	}{
		{"source", "no network", fault.Unavailable, func(s *fakeSource, _ *hostexec.Recorder) {
			s.err = fault.New(fault.Unavailable, "", "no network")
		}},
		{"kernel", "neither an ELF", fault.Internal, func(s *fakeSource, _ *hostexec.Recorder) { s.vmlinux = make([]byte, 5000) }},
		{"ELF", "no whole ELF", fault.Internal, func(s *fakeSource, _ *hostexec.Recorder) { s.vmlinux = tinyELF(1000); s.vmlinux[4] = 9 }},
		{"modules", "no virtio_blk", fault.Internal, func(s *fakeSource, _ *hostexec.Recorder) { s.dep = missing }},
		{"depmod", "apt-get install kmod", fault.Precondition, func(_ *fakeSource, r *hostexec.Recorder) {
			r.Reply = func(context.Context, hostexec.Cmd) (hostexec.Result, error) {
				return hostexec.Result{}, hostexec.ErrNotInstalled
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, src, run := newLibrary(t)
			vmlinux, dep, reply := src.vmlinux, src.dep, run.Reply
			c.spoil(src, run)
			_, err := l.Ensure(t.Context(), quiet)
			f := fault.From(err)
			if err == nil || f.Kind != c.kind || !strings.Contains(f.Message+f.Hint, c.want) {
				t.Fatalf("got %v (%s), want %s with %q", err, fault.KindOf(err), c.kind, c.want)
			}
			if left := leftovers(t, l); len(left) > 0 {
				t.Fatalf("left behind: %v", left)
			}
			src.err, src.vmlinux, src.dep, run.Reply = nil, vmlinux, dep, reply
			if _, err := l.Ensure(t.Context(), quiet); err != nil {
				t.Fatalf("and then, all being well: %v", err)
			}
		})
	}
}

func TestEnsureRemakesDamagedKernel(t *testing.T) {
	l, src, _ := newLibrary(t)
	k, err := l.Ensure(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(k.Vmlinux, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(k.ID); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("a damaged kernel was not noticed: %v", err)
	}
	// What a killed daemon left.
	if err := os.MkdirAll(filepath.Join(l.cfg.Dir, scratch+"old", "package"), 0o755); err != nil {
		t.Fatal(err)
	}
	again, err := l.Ensure(t.Context(), quiet)
	if err != nil || again.ID != k.ID || src.fetched != 2 {
		t.Fatalf("got %+v, %v after %d fetches", again, err, src.fetched)
	}
	if left := leftovers(t, l); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestGetRefusesPaths(t *testing.T) {
	l, _, _ := newLibrary(t)
	for _, id := range []string{"", "../../etc", "default", strings.Repeat("0", 17)} {
		if _, err := l.Get(id); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: got %v", id, err)
		}
	}
	if _, err := l.Get(strings.Repeat("0", idLength)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown one: got %v", err)
	}
}

func TestInitramfsIsCached(t *testing.T) {
	l, _, _ := newLibrary(t)
	k, err := l.Ensure(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	guest := filepath.Join(t.TempDir(), "banger-guest")
	if _, err := l.Initramfs(t.Context(), k, guest); fault.KindOf(err) != fault.Precondition {
		t.Fatalf("without a guest program: got %v", err)
	}
	make := func(body string) string {
		if err := os.WriteFile(guest, []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
		path, err := l.Initramfs(t.Context(), k, guest)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := make("agent 1")
	old := time.Now().Add(-2 * unusedFor)
	if err := os.Chtimes(first, old, old); err != nil {
		t.Fatal(err)
	}
	if again := make("agent 1"); again != first {
		t.Fatalf("the same guest program gave %s and %s", first, again)
	}
	second := make("agent 02")
	if second == first {
		t.Fatal("another guest program gave the same initramfs")
	}
	if _, err := os.Stat(first); err != nil {
		t.Fatalf("the one asked for a moment ago is gone: %v", err)
	}
	if err := os.Chtimes(first, old, old); err != nil {
		t.Fatal(err)
	}
	make("agent 003")
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("one that nobody used for long is still there: %v", err)
	}
}

func TestEnsureWaitsWithItsContext(t *testing.T) {
	l, _, _ := newLibrary(t)
	l.making <- struct{}{} // somebody is busy
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("given up")
	cancel(cause)
	if _, err := l.Ensure(ctx, quiet); !errors.Is(err, cause) {
		t.Fatalf("got %v", err)
	}
}

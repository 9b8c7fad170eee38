package workdisk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// counting is a host whose runs of mke2fs are counted, and may be held up or fail.
type counting struct {
	hostexec.Host
	made atomic.Int32
	hook func(ctx context.Context) error
}

func (c *counting) Run(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
	if cmd.Name == tool {
		c.made.Add(1)
		if c.hook != nil {
			if err := c.hook(ctx); err != nil {
				return hostexec.Result{}, err
			}
		}
	}
	return c.Host.Run(ctx, cmd)
}

// seeded is a place for an image's seeds and its VMs' disks.
type seeded struct {
	*Seeds
	run       *counting
	dir, disk string
	home      Home
}

func newSeeded(t *testing.T) *seeded {
	t.Helper()
	runner(t)
	run := &counting{}
	image := t.TempDir()
	return &seeded{
		Seeds: NewSeeds(run), run: run, dir: filepath.Join(image, "seeds"), disk: t.TempDir(),
		home: Home{Skel: skeletonDir(t), UID: uid, GID: gid},
	}
}

func (s *seeded) make(t *testing.T, name string, size int64) (string, error) {
	t.Helper()
	path := filepath.Join(s.disk, name)
	return path, s.Make(t.Context(), s.dir, path, size, s.home)
}

func (s *seeded) seeds(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// All disks of a size are clones of one seed, in order, and their own.
func TestSeeds(t *testing.T) {
	s := newSeeded(t)
	for i, size := range []int64{16 << 30, 16 << 30, 64 << 20, 16 << 30} {
		path, err := s.make(t, fmt.Sprint(i), size)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", path).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if u, err := disk.FileUsage(path); err != nil || u.ApparentBytes != size || u.UsedBytes > 1<<20 {
			t.Errorf("%+v, %v", u, err)
		}
		if got := strings.Join(strings.Fields(debugfs(t, path, `stat "/.profile"`)), " "); !strings.Contains(got, fmt.Sprintf("User: %d Group: %d ", uid, gid)) {
			t.Error(got)
		}
	}
	if n := s.run.made.Load(); n != 2 || len(s.seeds(t)) != 2 {
		t.Errorf("mke2fs ran %d times, there are %v", n, s.seeds(t))
	}

	path, err := s.make(t, "0", 32<<30) // a second time it is left as it is
	if info, serr := os.Stat(path); err != nil || serr != nil || info.Size() != 16<<30 {
		t.Error(err, serr)
	}
	if _, err := s.make(t, "small", 1<<20); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// A seed is made anew when what it is made from is another, and the old one goes.
func TestSeedsAreRefreshed(t *testing.T) {
	s := newSeeded(t)
	profile := filepath.Join(s.home.Skel, ".profile")
	for _, c := range []struct {
		name   string
		change func() error
	}{
		{"nothing yet", func() error { return nil }},
		{"content", func() error { return os.WriteFile(profile, []byte("umask 077\n"), 0o644) }},
		{"mode", func() error { return os.Chmod(profile, 0o600) }},
		{"another file", func() error { return os.WriteFile(profile+"2", nil, 0o644) }},
		{"another name", func() error { return os.Rename(profile+"2", profile+"3") }},
		{"another user", func() error { s.home.UID++; return nil }},
		{"another group", func() error { s.home.GID++; return nil }},
	} {
		before := s.run.made.Load()
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		path, err := s.make(t, c.name, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.run.made.Load(); n != before+1 || len(s.seeds(t)) != 1 {
			t.Errorf("%s: mke2fs ran %d times, there are %v", c.name, n-before, s.seeds(t))
		}
		if got := debugfs(t, path, `cat "/.profile"`); c.name == "content" && !strings.HasSuffix(got, "umask 077\n") {
			t.Errorf("%q", got)
		}
	}
}

// Links to its files, as a copy of the state may be made of, do not make a
// skeleton another one.
func TestLinkedSkeleton(t *testing.T) {
	s := newSeeded(t)
	if _, err := s.make(t, "a", 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(s.home.Skel, ".profile"), filepath.Join(t.TempDir(), "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.make(t, "b", 64<<20); err != nil || s.run.made.Load() != 1 {
		t.Errorf("mke2fs ran %d times, %v", s.run.made.Load(), err)
	}
}

// Seeds of several sizes and homes that are made at once do not take each other away.
func TestDifferentSeedsAtOnce(t *testing.T) {
	s := newSeeded(t)
	var all sync.WaitGroup
	for i := range 12 {
		home := s.home
		home.UID += i % 3
		all.Go(func() {
			if err := s.Make(t.Context(), s.dir, filepath.Join(s.disk, fmt.Sprint(i)), int64(64+i%2)<<20, home); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestSeedsAreBounded(t *testing.T) {
	s := newSeeded(t)
	for i := range maxSeeds + 3 {
		if _, err := s.make(t, fmt.Sprint(i), int64(64+i)<<20); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.seeds(t)); n != maxSeeds {
		t.Errorf("there are %d seeds", n)
	}
}

// Of many who want the first disk one makes the seed; where that one is given up,
// another goes on.
func TestSeedsAtOnce(t *testing.T) {
	s := newSeeded(t)
	begun, first := make(chan struct{}), true
	s.run.hook = func(ctx context.Context) error {
		if first {
			first = false
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- s.Make(ctx, s.dir, filepath.Join(s.disk, "gone"), 64<<20, s.home) }()
	<-begun
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := s.Make(t.Context(), s.dir, filepath.Join(s.disk, fmt.Sprint(i)), 64<<20, s.home); err != nil {
				t.Error(err)
			}
		})
	}
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Make(impatient, s.dir, filepath.Join(s.disk, "impatient"), 64<<20, s.home); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	all.Wait()
	if n := s.run.made.Load(); n != 2 || len(s.seeds(t)) != 1 {
		t.Errorf("mke2fs ran %d times, there are %v", n, s.seeds(t))
	}
}

// What a crash left is never taken for a seed, and a seed that goes while it is
// wanted is made again. Where the image is gone, nothing is made for it.
func TestSeedsAfterACrash(t *testing.T) {
	s := newSeeded(t)
	if _, err := s.make(t, "a", 64<<20); err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(s.dir, s.seeds(t)[0])
	if err := errors.Join(os.Truncate(seed, 12345), os.Rename(seed, seed+".tmp"), os.WriteFile(filepath.Join(s.dir, "0123-64.img.tmp"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if path, err := s.make(t, "b", 64<<20); err != nil {
		t.Fatal(err)
	} else if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if left := s.seeds(t); len(left) != 1 {
		t.Errorf("there are %v", left)
	}
	if _, err := s.make(t, "no/such/directory", 64<<20); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	image := filepath.Dir(s.dir)
	if err := os.RemoveAll(image); err != nil {
		t.Fatal(err)
	}
	if _, err := s.make(t, "c", 64<<20); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(image); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an image that was removed came back", err)
	}
}

func BenchmarkSeeded16G(b *testing.B) {
	skel, image, dir := skeletonDir(b), b.TempDir(), b.TempDir()
	s := NewSeeds(runner(b))
	for i := 0; b.Loop(); i++ {
		if err := s.Make(b.Context(), filepath.Join(image, "seeds"), filepath.Join(dir, fmt.Sprint(i)), 16<<30, Home{skel, uid, gid}); err != nil {
			b.Fatal(err)
		}
	}
	u, err := disk.FileUsage(filepath.Join(dir, "0"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(u.UsedBytes>>10), "KiB")
}

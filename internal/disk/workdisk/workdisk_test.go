package workdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

const (
	uid = 4321
	gid = 4322
)

func runner(t testing.TB) hostexec.Runner {
	t.Helper()
	for _, tool := range []string{"mke2fs", "debugfs", "e2fsck"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("e2fsprogs is not installed")
		}
	}
	return hostexec.Host{}
}

func skeletonDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, ".profile"), []byte("umask 022\n"), 0o644),
		os.MkdirAll(filepath.Join(dir, ".config", "with space"), 0o750),
		os.WriteFile(filepath.Join(dir, ".config", "with space", "näme <8> %s"), []byte("x"), 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func debugfs(t testing.TB, path, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "debugfs", "-R", command, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestMake(t *testing.T) {
	run, skel := runner(t), skeletonDir(t)
	path := filepath.Join(t.TempDir(), "work.img")
	if err := Make(t.Context(), run, path, 16<<30, Home{skel, uid, gid}); err != nil {
		t.Fatal(err)
	}
	u, err := disk.FileUsage(path)
	if err != nil || u.ApparentBytes != 16<<30 || u.UsedBytes > 1<<20 {
		t.Fatalf("%+v %v", u, err)
	}
	if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"/", "/.profile", "/.config", "/.config/with space", "/.config/with space/näme <8> %s", "/link"} {
		stat := strings.Join(strings.Fields(debugfs(t, path, `stat "`+name+`"`)), " ")
		if !strings.Contains(stat, fmt.Sprintf("User: %d Group: %d ", uid, gid)) {
			t.Errorf("%s: %s", name, stat)
		}
	}
	if got := debugfs(t, path, `cat "/.config/with space/näme <8> %s"`); !strings.HasSuffix(got, "\nx") {
		t.Errorf("%q", got)
	}
	if stat, err := os.Stat("/etc/passwd"); err != nil || stat.Sys().(*syscall.Stat_t).Uid == uid {
		t.Error("a link was followed", err)
	}
	// A second time it is left as it is.
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Make(t.Context(), run, path, 32<<30, Home{skel, uid, gid}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) || after.Size() != 16<<30 {
		t.Fatal("the disk was made again", err)
	}
}

// With the least size that is said, it works and leaves room; with less it is
// refused in a sentence.
func TestLeastSize(t *testing.T) {
	run := runner(t)
	for _, c := range []struct{ big, bigBytes, small int }{
		{0, 0, 0}, {1, 1 << 20, 10}, {1, 11_111_111, 0}, {3, 10 << 20, 0}, {0, 0, 700}, {1, 60 << 20, 100},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			skel, path := t.TempDir(), filepath.Join(t.TempDir(), "work.img")
			for i := range c.big + c.small {
				size := int64(0)
				if i < c.big {
					size = int64(c.bigBytes)
				}
				if err := os.WriteFile(filepath.Join(skel, fmt.Sprint(i)), bytes.Repeat([]byte{1}, int(size)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := readSkeleton(skel, os.Getuid(), os.Getgid())
			if err != nil {
				t.Fatal(err)
			}
			err = Make(t.Context(), run, path, s.least()-1, Home{skel, os.Getuid(), os.Getgid()})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), fmt.Sprintf("at least %d MiB", s.least()>>20)) {
				t.Fatal(err)
			}
			if err := Make(t.Context(), run, path, s.least(), Home{skel, os.Getuid(), os.Getgid()}); err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
		})
	}
}

func TestHostileSkeleton(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"fifo":  func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) },
		"quote": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a\" uid 0\nrm x"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := make(dir); err != nil {
				t.Fatal(err)
			}
			rec := &hostexec.Recorder{}
			path := filepath.Join(t.TempDir(), "work.img")
			if err := Make(t.Context(), rec, path, 1<<30, Home{dir, uid, gid}); fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			if len(rec.Commands()) != 0 {
				t.Fatal(rec)
			}
		})
	}
}

// Nothing is left of a disk that failed or was cancelled.
func TestFailures(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		reply func(context.Context, hostexec.Cmd) (hostexec.Result, error)
		kind  fault.Kind
		says  string
	}{
		"failed": {func(context.Context, hostexec.Cmd) (hostexec.Result, error) { return hostexec.Result{}, boom }, fault.Internal, "boom"},
		"not installed": {func(context.Context, hostexec.Cmd) (hostexec.Result, error) {
			return hostexec.Result{}, hostexec.ErrNotInstalled
		}, fault.Precondition, ""},
		"full": {func(context.Context, hostexec.Cmd) (hostexec.Result, error) {
			return hostexec.Result{Stderr: []byte("mke2fs: No space left on device while writing")}, boom
		}, fault.Unavailable, "no space"},
		"cancelled": {func(context.Context, hostexec.Cmd) (hostexec.Result, error) {
			return hostexec.Result{}, context.Canceled
		}, fault.Canceled, ""},
		"debugfs complains": {func(_ context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
			if cmd.Name == "debugfs" {
				return hostexec.Result{Stderr: []byte("debugfs 1.47.0 (5-Feb-2023)\n/x: File not found")}, nil
			}
			return hostexec.Result{}, nil
		}, fault.Internal, "File not found"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := Make(t.Context(), &hostexec.Recorder{Reply: c.reply}, filepath.Join(dir, "work.img"), 1<<30, Home{skeletonDir(t), uid, gid})
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Fatal(fault.KindOf(err), err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatal(left, err)
			}
		})
	}
}

func TestNoSpace(t *testing.T) {
	run := runner(t)
	if !disktest.Private(t) {
		return
	}
	dir := disktest.TinyFS(t, 64<<10)
	err := Make(t.Context(), run, filepath.Join(dir, "work.img"), 1<<30, Home{skeletonDir(t), uid, gid})
	if fault.KindOf(err) != fault.Unavailable {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
}

func BenchmarkMake16G(b *testing.B) {
	run, skel, dir := runner(b), skeletonDir(b), b.TempDir()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if err := Make(b.Context(), run, filepath.Join(dir, fmt.Sprint(i)), 16<<30, Home{skel, uid, gid}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "last-ms")
	}
}

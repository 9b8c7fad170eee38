package growfs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/disk/workdisk"
	"github.com/banger-vm/banger/internal/hostexec"
)

// made is a work disk as banger makes it, with a file in the home.
func made(t *testing.T, size int64) string {
	t.Helper()
	path, skel := filepath.Join(t.TempDir(), "work.img"), t.TempDir()
	if err := os.WriteFile(filepath.Join(skel, ".profile"), []byte("umask 022\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := workdisk.Make(t.Context(), hostexec.Host{}, path, size, workdisk.Home{Skel: skel, UID: os.Getuid(), GID: os.Getgid()}); err != nil {
		t.Fatal(err)
	}
	return path
}

// A work disk that is mounted grows with its device, keeps what is in it, takes
// next to nothing more on the host, and is in order.
func TestGrow(t *testing.T) {
	disktest.NeedLoop(t, "mke2fs")
	needResources(t)
	if !disktest.Private(t) {
		return
	}
	path := made(t, 64<<20)
	grow := func(size int64) {
		t.Helper()
		loop, dir := disktest.Loop(t, path), t.TempDir()
		if err := unix.Mount(loop.Name(), dir, "ext4", 0, MountOptions); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(unix.Unmount(dir, 0), loop.Close()); err != nil {
				t.Error(err)
			}
		}()
		if err := disk.Grow(path, size); err != nil {
			t.Fatal(err)
		}
		early, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if err := Await(early, loop.Name(), size); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("waiting for a device that nobody told: %v", err)
		}
		if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
			t.Fatal(err)
		}
		if err := Await(t.Context(), loop.Name(), size); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to do
			if got, err := Grow(loop.Name(), dir); err != nil || got != size {
				t.Fatalf("it has %d bytes, not %d: %v", got, size, err)
			}
		}
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil || int64(st.Blocks)*st.Bsize < size*9/10 {
			t.Fatalf("%d blocks of %d bytes (%v)", st.Blocks, st.Bsize, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, ".profile")); err != nil || string(b) != "umask 022\n" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	for _, size := range []int64{1 << 30, 3 << 30, 16 << 30} {
		grow(size)
		if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", path).CombinedOutput(); err != nil {
			t.Fatalf("at %d: %v: %s", size, err, out)
		}
	}
	if u, err := disk.FileUsage(path); err != nil || u.UsedBytes > 24<<20 {
		t.Errorf("it takes %d bytes of the host's disk, %v", u.UsedBytes, err)
	}
}

// needResources skips where not even root may grow a file system, as in many
// containers.
func needResources(t *testing.T) {
	t.Helper()
	header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		t.Skip("this root may not grow file systems (CAP_SYS_RESOURCE)")
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "no device")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Grow(file, dir); err == nil || !strings.Contains(err.Error(), "is not mounted on") {
		t.Errorf("a directory of another file system: %v", err)
	}
	if _, err := Grow(filepath.Join(dir, "none"), dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
	if err := Await(t.Context(), filepath.Join(dir, "none"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
}

// The size that the superblock tells is that of the disk.
func TestSuper(t *testing.T) {
	f, err := os.Open(made(t, 96<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s, err := readSuper(f); err != nil || s.bytes() != 96<<20 || s.blockSize != 4096 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, b := range map[string][]byte{"zeros": make([]byte, superAt+superSize), "short": []byte("x")} {
		if s, err := readSuper(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func FuzzSuper(f *testing.F) {
	b := make([]byte, superSize)
	b[magicAt], b[magicAt+1], b[blocksLoAt], b[logSizeAt] = 0x53, 0xef, 9, 2
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSuper(b)
		if err == nil && (s.bytes() <= 0 || s.blockSize < 1024 || s.blockSize > 64<<10) {
			t.Errorf("%+v", s)
		}
	})
}

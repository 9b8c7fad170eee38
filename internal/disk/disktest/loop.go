package disktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Loop makes a block device of a file until the test ends; only for root.
func Loop(t testing.TB, path string) *os.File {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no block device can be made of a file here: %v", err)
	}
	defer control.Close()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 100 { // others take devices too
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			t.Cleanup(func() { loop.Close() })
			return loop
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
	}
	t.Fatal("there is no free block device")
	return nil
}

// NeedLoop skips the test, before Private, where no file can be mounted that the
// program mkfs made a file system in.
func NeedLoop(t testing.TB, mkfs string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes block devices of files")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("no block device can be made of a file here: %v", err)
	}
	if _, err := exec.LookPath(mkfs); err != nil {
		t.Skipf("%s is not installed", mkfs)
	}
}

// FormattedFS mounts a new file system of that kind and size; only after
// NeedLoop and Private.
func FormattedFS(t testing.TB, kind, mkfs string, sizeBytes int64, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fs.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, sizeBytes); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), mkfs, append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	dir := t.TempDir()
	mount(t, Loop(t, path).Name(), dir, kind, 0, "")
	return dir
}

// Package lab gives the tests of real VMMs their kernel, their guest, which
// runs the conformance suite's script, and their machines.
package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// Needs gives the kernel and initramfs of the real-VM tests, or skips.
func Needs(t *testing.T) (kernel, initramfs string) {
	t.Helper()
	kernel, initramfs = os.Getenv("BANGER_TEST_KERNEL"), os.Getenv("BANGER_TEST_INITRAMFS")
	if os.Getenv("BANGER_TEST_VM") != "1" || kernel == "" || initramfs == "" {
		t.Skip("real VMs are not asked for (BANGER_TEST_VM, BANGER_TEST_KERNEL, BANGER_TEST_INITRAMFS)")
	}
	return kernel, initramfs
}

// InHost says whether this is the test host, whose KVM runs guests.
func InHost() bool { return os.Getenv("BANGER_TEST_HOST") == "1" }

// Verdicts is a place for a driver's verdicts on KVM. In the test host, where
// a probe takes many seconds, the drivers of all tests share it: nothing that
// a verdict depends on changes there, and the host is thrown away.
func Verdicts(t *testing.T) string {
	if !InHost() {
		return t.TempDir()
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("banger-verdicts-%d", os.Getuid()))
}

// guestProgram is the suite's guest: BANGER_TEST_GUEST, or built where there
// is a toolchain.
var guestProgram = sync.OnceValues(func() ([]byte, error) {
	if made := os.Getenv("BANGER_TEST_GUEST"); made != "" {
		return os.ReadFile(made)
	}
	dir, err := os.MkdirTemp("", "banger-vmmtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-o", init, "github.com/banger-vm/banger/internal/vmm/vmmtest/lab/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the test guest: %w\n%s", err, out)
	}
	return os.ReadFile(init)
})

// testInitramfs is the lab's initramfs with the suite's guest as its /init: a
// later archive in the same file wins.
var testInitramfs = sync.OnceValues(func() ([]byte, error) {
	body, err := guestProgram()
	if err != nil {
		return nil, err
	}
	base, err := os.ReadFile(os.Getenv("BANGER_TEST_INITRAMFS"))
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(base)
	out.Write(Archive(body))
	return out.Bytes(), nil
})

// Archive is an initramfs with nothing but an /init.
func Archive(init []byte) []byte {
	var out bytes.Buffer
	cpioEntry(&out, "init", 0o100755, init)
	cpioEntry(&out, "TRAILER!!!", 0, nil)
	return out.Bytes()
}

// cpioEntry writes an entry of a newc archive.
func cpioEntry(w *bytes.Buffer, name string, mode int, body []byte) {
	pad := func() {
		for w.Len()%4 != 0 {
			w.WriteByte(0)
		}
	}
	pad()
	fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
	w.WriteString(name + "\x00")
	pad()
	w.Write(body)
	pad()
}

// Spec is a machine that runs the suite's guest, with drives of 0 to 3 MiB
// (the work disk: larger than what the guest writes) and no network.
func Spec(t *testing.T, dir string, cmdline ...string) vmm.Spec {
	t.Helper()
	kernel, _ := Needs(t)
	initramfs, err := testInitramfs()
	if err != nil {
		t.Fatal(err)
	}
	spec := vmm.Spec{
		Name: "vmmtest", Dir: dir, CPUs: 2, MemoryBytes: 256 << 20, Accel: vmm.AccelAuto,
		Kernel: kernel, Initramfs: filepath.Join(t.TempDir(), "initramfs"), Cmdline: cmdline,
		Network: network.Attachment{Backend: network.BackendNone},
	}
	if err := os.WriteFile(spec.Initramfs, initramfs, 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Drives = MakeDrives(t, dir)
	return spec
}

// MakeDrives makes the drives of Spec in dir.
func MakeDrives(t *testing.T, dir string) (drives []disk.Drive) {
	t.Helper()
	for i, slot := range disk.Slots {
		d := disk.Drive{Slot: slot, Path: string(slot) + ".img", ReadOnly: i == 0 || i == 3}
		path := filepath.Join(dir, d.Path)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(driveMiB[i])<<20); err != nil {
			t.Fatal(err)
		}
		drives = append(drives, d)
	}
	return drives
}

var driveMiB = [4]int{0, 16, 2, 3}

// Drives is what the guest of Spec says of its drives.
const Drives = "0 32768 4096 6144"

// LongDir has a longer path than a socket's address may be.
func LongDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a directory, with a name that is longer than the address of a socket may be: "+
		"one hundred and eight bytes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// FullHost is a machine on a file system that is full but for 2 MiB and what
// the driver never lets a guest have; it needs root.
func FullHost(t *testing.T, reserve int64) (vmm.Spec, func()) {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("banger-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", 24<<20+reserve)); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 21<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := Spec(t, dir)
	return spec, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

// KillOutside ends a VMM as somebody else would.
func KillOutside(t *testing.T, f vmm.Facts) {
	t.Helper()
	if f.Process.PID != f.PID {
		t.Errorf("whoever wants its end does not know which process it is: %+v", f)
	}
	if err := syscall.Kill(f.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

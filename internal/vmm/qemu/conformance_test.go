package qemu_test

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
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
)

// testInitramfs is the lab's initramfs with the suite's guest as its /init: a
// later archive in the same file wins.
var testInitramfs = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "banger-vmmtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-o", init, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the test guest: %w\n%s", err, out)
	}
	body, err := os.ReadFile(init)
	if err != nil {
		return nil, err
	}
	base, err := os.ReadFile(os.Getenv("BANGER_TEST_INITRAMFS"))
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(base)
	cpioEntry(out, "init", 0o100755, body)
	cpioEntry(out, "TRAILER!!!", 0, nil)
	return out.Bytes(), nil
})

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

// scriptedSpec is a machine that runs the suite's guest, with drives of 0 to 3
// MiB (the work disk: larger than what the guest writes).
func scriptedSpec(t *testing.T, dir string, cmdline ...string) vmm.Spec {
	t.Helper()
	kernel, _ := lab(t)
	initramfs, err := testInitramfs()
	if err != nil {
		t.Fatal(err)
	}
	spec := vmm.Spec{
		Name: "vmmtest", Dir: dir, CPUs: 2, MemoryBytes: 256 << 20, Accel: vmm.AccelTCG,
		Kernel: kernel, Initramfs: filepath.Join(t.TempDir(), "initramfs"), Cmdline: cmdline,
		Network: network.Attachment{Backend: network.BackendBuiltin, MAC: "52:54:00:00:00:01"},
	}
	if err := os.WriteFile(spec.Initramfs, initramfs, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, slot := range disk.Slots {
		d := disk.Drive{Slot: slot, Path: string(slot) + ".img", ReadOnly: i == 0 || i == 3}
		path := filepath.Join(dir, d.Path)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(driveMiB[i])<<20); err != nil {
			t.Fatal(err)
		}
		spec.Drives = append(spec.Drives, d)
	}
	return spec
}

var driveMiB = [4]int{0, 16, 2, 3}

func TestRealConformance(t *testing.T) {
	lab(t)
	h := vmmtest.Harness{
		Driver: func(t *testing.T) vmm.Driver { return newDriver(t) },
		Spec:   func(t *testing.T) vmm.Spec { return scriptedSpec(t, longDir(t)) },
		KillOutside: func(t *testing.T, f vmm.Facts) {
			if err := syscall.Kill(f.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
		Drives: "0 32768 4096 6144",
	}
	if os.Getuid() == 0 {
		h.Full = fullHost
	}
	vmmtest.Run(t, h)
}

// longDir has a longer path than a socket's address may be.
func longDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "a directory, with a name that is longer than the address of a socket may be: "+
		"one hundred and eight bytes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fullHost is a machine on a file system that is full but for 2 MiB.
func fullHost(t *testing.T) (vmm.Spec, func()) {
	dir := t.TempDir()
	if err := syscall.Mount("banger-test", dir, "tmpfs", 0, "size=24m"); err != nil {
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
	spec := scriptedSpec(t, dir)
	return spec, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

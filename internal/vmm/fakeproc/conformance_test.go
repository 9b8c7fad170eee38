package fakeproc_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

// TestMain ends what rig began.
func TestMain(m *testing.M) {
	code := m.Run()
	if began != nil {
		began.end()
	}
	os.Exit(code)
}

// world is the fake VMM and the suite's guest, built, and who runs the guests.
type world struct {
	dir  string
	host *exec.Cmd
}

var began *world

var begin = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "banger-fakevmm-")
	if err != nil {
		return err
	}
	began = &world{dir: dir}
	for _, pkg := range []string{"fakevmm", "fakevmm/suite"} {
		build := exec.Command("go", "build", "-o", dir+"/", "github.com/banger-vm/banger/test/"+pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	socket := filepath.Join(dir, "host.sock")
	host := exec.Command(filepath.Join(dir, "fakevmm"), "host", socket)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err == nil {
		err = host.Start()
	}
	if err != nil {
		return err
	}
	began.host = host
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("who runs the guests says %q, %w", line, err)
	}
	return os.Setenv("FAKEVMM_HOST", socket)
})

func (w *world) end() {
	if w.host != nil {
		_ = w.host.Process.Kill() // its guests end with it
		_ = w.host.Wait()
	}
	_ = os.RemoveAll(w.dir) // in a temporary directory anyway
}

// rig gives the directory with the programs, or skips where the fake VMM cannot
// work.
func rig(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the fake VMM mounts its guest's disks: only root may")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("the fake VMM needs loop devices: %v", err)
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	return began.dir
}

func newDriver(t *testing.T) vmm.Driver {
	t.Helper()
	return fakeproc.New(slog.New(slog.DiscardHandler), fakeproc.Config{Binary: filepath.Join(rig(t), "fakevmm")})
}

// newSpec is a machine that runs the suite's guest; any program will do as its
// kernel.
func newSpec(t *testing.T) vmm.Spec {
	t.Helper()
	programs := rig(t)
	guest, err := os.ReadFile(filepath.Join(programs, "suite"))
	if err != nil {
		t.Fatal(err)
	}
	dir := lab.LongDir(t)
	spec := vmm.Spec{
		Name: "vmmtest", Dir: dir, CPUs: 1, MemoryBytes: 64 << 20, Accel: vmm.AccelAuto,
		Kernel: filepath.Join(programs, "suite"), Initramfs: filepath.Join(t.TempDir(), "initramfs"),
		Drives: lab.MakeDrives(t, dir), Network: network.Attachment{Backend: network.BackendNone},
	}
	if err := os.WriteFile(spec.Initramfs, lab.Archive(guest), 0o600); err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestConformance(t *testing.T) {
	rig(t)
	vmmtest.Run(t, vmmtest.Harness{Driver: newDriver, Spec: newSpec, KillOutside: lab.KillOutside})
}

// A fault at any step on the way up fails the start, says so and leaves nothing.
func TestFaultsOfAStart(t *testing.T) {
	for _, tc := range []struct{ fault, says string }{
		{"spawn exit", "exit code 70"},
		{"spawn nonsense", "is no fault"},
		{"greet exit", "exit code 70"},
		{"start exit", "a fault at start ends it"},
		{"start fail", "a fault at start was wanted"},
		{"started exit", "a fault at started ends it"},
		{"started fail", "a fault at started was wanted"},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Parallel()
			spec := newSpec(t)
			order(t, spec, tc.fault)
			d := newDriver(t)
			if _, err := d.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Start = %v, not %q", err, tc.says)
			}
			if _, err := d.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
				t.Errorf("then Connect = %v", err)
			}
		})
	}
}

// order has the next VMM in spec's directory misbehave.
func order(t *testing.T, spec vmm.Spec, faults string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(spec.Dir, fakeproc.FileFaults), []byte(faults+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a guest wrote is in its drive's file once its machine has ended, and its
// VMM was killed: nothing of the host's still holds it.
func TestDrivesAreFiles(t *testing.T) {
	spec := newSpec(t)
	m, err := newDriver(t).Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Kill(t.Context()); m.Close() }) // it may be gone
	agent, err := m.Agent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(agent)
	for ask, want := range map[string]string{script.Drives: lab.Drives, script.Write: script.Written} {
		if _, err := fmt.Fprintln(agent, ask); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || answers.Text() != want {
			t.Fatalf("asked for %s the guest says %q, %v", ask, answers.Text(), answers.Err())
		}
	}
	if err := m.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(spec.Dir, string(disk.SlotWork)+".img"))
	if err != nil || len(b) < script.WriteSize || b[0] != 0xa5 || b[script.WriteSize-1] != 0xa5 {
		t.Errorf("the work disk does not hold what was written (%v)", err)
	}
	again, err := newDriver(t).Start(t.Context(), spec) // on the same files, at once
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Kill(t.Context()), again.Close()); err != nil {
		t.Error(err)
	}
}

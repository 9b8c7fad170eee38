package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

func TestTSCMeter(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("no time-stamp counter")
	}
	a, err := newTSCMeter().kHz(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := newTSCMeter().kHz(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if off := float64(a-b) / float64(a); a == 0 || off > 1e-3 || off < -1e-3 {
		t.Errorf("two measurements disagree: %d and %d kHz", a, b)
	}
	t.Logf("%d and %d kHz", a, b)
}

func TestTSCNonsenseIsLeftOut(t *testing.T) {
	m := newTSCMeter()
	m.first.ticks = rdtsc() - 1 // a counter that stands still
	m.first.at = m.first.at.Add(-time.Hour)
	if khz, err := m.kHz(t.Context()); khz != 0 || err != nil {
		t.Errorf("kHz = %d, %v", khz, err)
	}
}

func TestTracedShutdown(t *testing.T) {
	const running = "runstate_set current_run_state 6 (prelaunch) new_state 9 (running)\n"
	const ended = "runstate_set current_run_state 9 (running) new_state 11 (shutdown)\n"
	for want, trace := range map[string]string{
		causePoweroff: running + "qemu_system_shutdown_request reason=6\n" + ended,
		causeReset:    running + ended,
		"host-signal": running + "qemu_system_shutdown_request reason=4\n" + ended,
		"":            running,
		"unknown":     "qemu_system_shutdown_request reason=99\n",
	} {
		file := filepath.Join(t.TempDir(), "trace")
		if err := os.WriteFile(file, []byte(trace), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tracedShutdown(file); got != want {
			t.Errorf("%q means %q, want %q", trace, got, want)
		}
	}
	if got := tracedShutdown("/no/such"); got != "" {
		t.Errorf("no trace means %q", got)
	}
}

func TestLockBelongsToWhoeverHasTheFile(t *testing.T) {
	dir := t.TempDir()
	if held, err := locked(dir); held || err != nil {
		t.Fatalf("a new directory is locked: %v, %v", held, err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := hostexec.Spawn(hostexec.Daemon{Name: "sleep", Args: []string{"100"}, ExtraFiles: []*os.File{lock}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(dir); !errors.Is(err, vmm.ErrRunning) {
		t.Errorf("takeLock = %v", err)
	}
	// A bystander has the file open and no lock.
	other, err := os.Open(filepath.Join(dir, fileLock))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	q, err := hostexec.Spawn(hostexec.Daemon{Name: "sleep", Args: []string{"100"}, ExtraFiles: []*os.File{other}})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Kill()
	if id, err := findHolder(dir); err != nil || id != p.ID() {
		t.Errorf("findHolder = %+v, %v; want %+v", id, err, p.ID())
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := locked(dir); held || err != nil {
		t.Errorf("the lock outlives its holder: %v, %v", held, err)
	}
	if _, err := findHolder(dir); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("findHolder = %v", err)
	}
}

package qemu

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
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
		causeSignal:   running + "qemu_system_shutdown_request reason=4\n" + ended,
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

func TestWaitingIsNoLastWord(t *testing.T) {
	const first = "qemu-system-x86_64: -chardev socket,id=qmp,fd=4,server=on,wait=on: info: QEMU waiting for connection on: disconnected:unix:,server=on\n"
	for said, want := range map[string]string{first: "", first + "it burns\n": "it burns", "": ""} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, rundir.LogFile), []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(dir); got != want {
			t.Errorf("after %q: %q", said, got)
		}
	}
}

// A QEMU that a signal ended while nobody listened leaves the trace of a reset;
// it must not be started again for it.
func TestSignalIsNoReset(t *testing.T) {
	const ended = "runstate_set current_run_state 9 (running) new_state 11 (shutdown)\n"
	for said, want := range map[string]string{
		"": vmm.ExitReset,
		"qemu-system-x86_64: terminating on signal 15 from pid 342 (/lib/systemd/systemd)\n": vmm.ExitCrashed,
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{fileTrace: ended, rundir.LogFile: said} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := ending(dir, hostexec.Exit{}, "", false); got.Reason != want {
			t.Errorf("after %q it was %s: %s", said, got.Reason, got.Detail)
		}
	}
}

func TestWhoTakesTurns(t *testing.T) {
	for version, want := range map[string]bool{
		"6.2.0": true, "7.2.22": true, "8.0.5": true, "8.1.0": false, "9.0": false, "10.0.2": false, "": true, "new": true,
	} {
		if got := missesCode(version); got != want {
			t.Errorf("QEMU %q misses changed code: %v", version, got)
		}
	}
}

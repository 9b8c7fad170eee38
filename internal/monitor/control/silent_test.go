package control

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/rpc"
)

// A monitor that takes calls and answers none is reported, not waited for.
func TestSilentMonitorIsAnError(t *testing.T) {
	dir := t.TempDir()
	l, err := rpc.Listen(filepath.Join(dir, SocketFile), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := WriteFile(dir, LaunchFile, machine.Launch{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	begin := time.Now()
	if _, err := r.Status(t.Context(), dir); !errors.Is(err, errSilent) {
		t.Errorf("Status: %v", err)
	}
	if took := time.Since(begin); took > 2*patience {
		t.Errorf("it took %v", took)
	}
}

// The monitor that is ended is the one that signed, not who has its pid now.
func TestEndMonitorMeansTheProcessThatSigned(t *testing.T) {
	dir := t.TempDir()
	r := New(slog.New(slog.DiscardHandler), Config{})
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := hostexec.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := id
	other.StartTime--
	if err := errors.Join(WriteFile(dir, MonitorFile, other), r.endMonitor(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := hostexec.Identify(c.Process.Pid); errors.Is(err, os.ErrProcessDone) {
		t.Fatal("a stranger was killed")
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	if err := errors.Join(WriteFile(dir, MonitorFile, id), r.endMonitor(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("it ended by itself")
	}
}

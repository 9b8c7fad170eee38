package control

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/jsonfile"
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
	if err := jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}); err != nil {
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
	id, gone := monitorOf(t, dir)
	other := id
	other.StartTime--
	if err := errors.Join(jsonfile.Write(dir, MonitorFile, other), r.endMonitor(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	if over(gone) {
		t.Fatal("a stranger was killed")
	}
	if err := errors.Join(jsonfile.Write(dir, MonitorFile, id), r.endMonitor(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	<-gone
}

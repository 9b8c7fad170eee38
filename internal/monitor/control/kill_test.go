package control

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// sleeper is a process that does nothing until it is killed.
func sleeper(t *testing.T, files ...*os.File) (hostexec.ID, <-chan struct{}) {
	t.Helper()
	c := exec.Command("sleep", "60")
	c.ExtraFiles = files
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := hostexec.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = c.Wait(); close(gone) }()
	t.Cleanup(func() { _ = c.Process.Kill(); <-gone })
	return id, gone
}

// monitorOf is a process that has a directory locked, as its monitor has.
func monitorOf(t *testing.T, dir string) (hostexec.ID, <-chan struct{}) {
	t.Helper()
	lock, err := os.Create(filepath.Join(dir, LockFile))
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	return sleeper(t, lock)
}

func over(gone <-chan struct{}) bool {
	select {
	case <-gone:
		return true
	default:
		return false
	}
}

func TestKillBoth(t *testing.T) {
	dir := t.TempDir()
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	monitor, monitorGone := monitorOf(t, dir)
	vmm, vmmGone := sleeper(t)
	stranger := vmm
	stranger.StartTime--

	// Who has only the pid of a VMM that is gone lives on, and so does the
	// monitor, which may be starting another VMM.
	for name, s := range map[string]Signature{
		"no VMM yet":              {ID: monitor},
		"a VMM that is gone":      {ID: monitor, VMM: stranger},
		"a monitor that is gone":  {ID: stranger, VMM: vmm},
		"a monitor of old, as is": {},
	} {
		if err := jsonfile.WriteStatus(dir, MonitorFile, s); err != nil {
			t.Fatal(err)
		}
		if done, err := r.killBoth(t.Context(), dir); done || err != nil || over(monitorGone) || over(vmmGone) {
			t.Errorf("%s: %v, %v; gone: monitor %v, VMM %v", name, done, err, over(monitorGone), over(vmmGone))
		}
	}
	// A copy of the directory says the same of them.
	copied := t.TempDir()
	err := errors.Join(
		jsonfile.WriteStatus(dir, MonitorFile, Signature{ID: monitor, VMM: vmm}),
		jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}),
		os.CopyFS(copied, os.DirFS(dir)),
	)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := r.killBoth(t.Context(), copied); done || err != nil || over(monitorGone) || over(vmmGone) {
		t.Errorf("a copy: %v, %v; gone: monitor %v, VMM %v", done, err, over(monitorGone), over(vmmGone))
	}
	if err := r.endMonitor(t.Context(), copied); err != nil || over(monitorGone) {
		t.Errorf("a copy: %v; gone: %v", err, over(monitorGone))
	}
	if done, err := r.killBoth(t.Context(), dir); !done || err != nil {
		t.Fatal(done, err)
	}
	<-monitorGone
	<-vmmGone
	if x, err := r.LastExit(dir); err != nil || x.BootID != "b" || x.Reason != machine.ExitKilled || x.At.IsZero() {
		t.Errorf("%+v, %v", x, err)
	}
}

// Whoever finds the monitor dead while it is being ended brings none back.
func TestNobodyRevivesWhatIsBeingKilled(t *testing.T) {
	dir := t.TempDir()
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/bin/true"})
	if err := jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	release, err := r.turns.Take(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	revived := make(chan error, 1)
	go func() { revived <- r.revive(t.Context(), dir) }()
	select {
	case err := <-revived:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := r.wasKilled(dir); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-revived; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, SocketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a monitor's socket: %v", err)
	}
}

// What ran when the host was restarted has ended, and no monitor is made to see
// that.
func TestEndedWithTheHost(t *testing.T) {
	dir := t.TempDir()
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	id, err := hostexec.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}), jsonfile.WriteStatus(dir, MonitorFile, Signature{ID: id})); err != nil {
		t.Fatal(err)
	}
	if ended(dir) {
		t.Error("of this start of the host it has ended")
	}
	id.BootID = "another"
	if err := jsonfile.WriteStatus(dir, MonitorFile, Signature{ID: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Status(t.Context(), dir); !errors.Is(err, machine.ErrNotRunning) {
		t.Errorf("Status: %v", err)
	}
	if err := r.Kill(t.Context(), dir); err != nil {
		t.Errorf("Kill: %v", err)
	}
}

// A monitor that answers is told though its lock is another file by now, as after
// a clean-up, and a kill that it does not follow ends with an error.
func TestKillWithoutItsLock(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		dir := t.TempDir()
		r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
		id, _ := monitorOf(t, dir)
		kills := 0
		monitor(t, dir, map[string]rpcserver.Handler{
			MethodStatus: rpcserver.Bind(func(context.Context, StatusRequest) (machine.Status, error) {
				return machine.Status{MonitorPID: id.PID, Phase: machine.PhaseRunning, Version: 1}, nil
			}),
			MethodKill: rpcserver.Bind(func(context.Context, api.Empty) (api.Empty, error) {
				if kills++; obeys {
					return api.Empty{}, os.Remove(filepath.Join(dir, SocketFile))
				}
				return api.Empty{}, nil
			}),
		})
		err := errors.Join(jsonfile.WriteStatus(dir, MonitorFile, Signature{ID: id}), jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}),
			jsonfile.Write(dir, ExitFile, machine.Exit{BootID: "b"}), os.Remove(filepath.Join(dir, LockFile)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = r.Kill(ctx, dir)
		cancel()
		if kills == 0 || obeys && err != nil || !obeys && err == nil {
			t.Errorf("obeys %v: told %d times, %v", obeys, kills, err)
		}
	}
}

package firecracker

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fakefc"
	"github.com/banger-vm/banger/internal/vmm/rundir"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// fakeBinary is a Firecracker that fails as the flags say.
func fakeBinary(t *testing.T, flags ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "firecracker")
	if err := os.WriteFile(path, []byte(fakefc.Script([]string{self, fakeArg}, flags...)), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// fakeDriver has a fake VMM, which is not enclosed and needs no KVM.
func fakeDriver(t *testing.T, binary string) *Driver {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := New(hostexec.Host{}, log, Config{Binary: binary})
	d.device = func() string { return "" }
	return d
}

// fakeSpec is a machine whose files hold nothing but their sizes.
func fakeSpec(t *testing.T) vmm.Spec {
	t.Helper()
	dir := lab.LongDir(t)
	spec := vmm.Spec{
		Name: "dev", Dir: dir, CPUs: 2, MemoryBytes: 256 << 20, Accel: vmm.AccelAuto,
		Kernel: filepath.Join(dir, "vmlinux"), Initramfs: filepath.Join(dir, "initramfs"),
		Cmdline: []string{"banger.root=cow"}, Network: network.Attachment{Backend: network.BackendNone},
	}
	for _, path := range []string{spec.Kernel, spec.Initramfs} {
		if err := os.WriteFile(path, []byte("\x7fELF"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, slot := range disk.Slots {
		name := string(slot) + ".img"
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 512*(i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		spec.Drives = append(spec.Drives, disk.Drive{Slot: slot, Path: name, ReadOnly: i == 0 || i == 3})
	}
	return spec
}

func TestConformance(t *testing.T) {
	binary := fakeBinary(t)
	vmmtest.Run(t, vmmtest.Harness{
		Name:        "firecracker, a fake",
		Driver:      func(t *testing.T) vmm.Driver { return fakeDriver(t, binary) },
		Spec:        fakeSpec,
		KillOutside: lab.KillOutside,
		Drives:      "1 2 3 4",
	})
}

// nothingLeft wants no socket and no process to be left in dir.
func nothingLeft(t *testing.T, d *Driver, spec vmm.Spec) {
	t.Helper()
	for _, name := range []string{fileAPI, fileVsock} {
		if _, err := os.Lstat(filepath.Join(spec.Dir, dirRun, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if _, err := d.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect = %v", err)
	}
	// A program that a test beside this one starts has it too, until it is executed.
	held, err := rundir.Locked(spec.Dir)
	for end := time.Now().Add(5 * time.Second); held && time.Now().Before(end); held, err = rundir.Locked(spec.Dir) {
		time.Sleep(time.Millisecond)
	}
	if held || err != nil {
		t.Errorf("the lock is held: %v, %v", held, err)
	}
}

// The VMM ends at each call that starts a machine: Start says how, and leaves
// nothing.
func TestExitAtEachCall(t *testing.T) {
	for _, call := range []string{
		"GET /version", "GET /", "PUT /machine-config", "PUT /boot-source", "PUT /drives/vda", "PUT /drives/vdb",
		"PUT /drives/vdc", "PUT /drives/vdd", "PUT /vsock", "PUT /entropy", "PUT /actions",
	} {
		t.Run(strings.ReplaceAll(call, "/", ":"), func(t *testing.T) {
			t.Parallel()
			d, spec := fakeDriver(t, fakeBinary(t, "-fake-exit-at", call, "-fake-exit-code", "148")), fakeSpec(t)
			_, err := d.Start(t.Context(), spec)
			if err == nil || !strings.Contains(err.Error(), "its own system call filter (seccomp) stopped it (exit code 148)") {
				t.Errorf("Start = %v", err)
			}
			nothingLeft(t, d, spec)
		})
	}
}

func TestStartRefusesWhatFirecrackerSays(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		want  string
	}{
		"too long":  {[]string{"-fake-long-at", "PUT /vsock"}, "longer than 65536 bytes"},
		"too old":   {[]string{"-fake-version", "1.11.0"}, "Firecracker 1.11.0 is too old: 1.12.0 or later is needed"},
		"no number": {[]string{"-fake-version", "one"}, "the version of Firecracker is not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			d, spec := fakeDriver(t, fakeBinary(t, c.flags...)), fakeSpec(t)
			if _, err := d.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Start = %v", err)
			}
			nothingLeft(t, d, spec)
		})
	}
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	spec.Drives[1].Path = filepath.Join(t.TempDir(), "gone")
	if _, err := d.launch(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "refused PUT /drives/vdb: Drive config error") {
		t.Errorf("a refusal in Firecracker's words is told as %v", err)
	}
	nothingLeft(t, d, spec)
}

// A crash leaves sockets, and other things in their places: the next start
// takes them away.
func TestStartInADirectoryOfACrash(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	run := filepath.Join(spec.Dir, dirRun)
	for _, dir := range []string{run, filepath.Join(run, fileAPI), filepath.Join(run, fileAPI, "deep")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileVsock, fileMetrics, fileOut, fileLog} {
		if err := os.Symlink(elsewhere, filepath.Join(run, name)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(elsewhere); err != nil || string(b) != "precious" {
		t.Errorf("what a link led to is %q, %v", b, err)
	}
}

// What a VMM that was taken over puts in the place of its files leads nobody
// anywhere.
func TestLinksOfAVMMAreNotFollowed(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(t.Context())
	other := fakeSpec(t)
	victim, err := d.Start(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	defer victim.Kill(t.Context())
	for _, name := range []string{fileAPI, fileVsock, fileOut, fileIn, fileLog, fileMetrics} {
		path := filepath.Join(spec.Dir, dirRun, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(other.Dir, dirRun, name), path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Agent(t.Context()); err == nil {
		t.Error("Agent follows a link")
	}
	if _, err := m.Console(t.Context()); err == nil {
		t.Error("Console follows a link")
	}
	if _, err := m.(vmm.Meter).Stats(t.Context()); err == nil {
		t.Error("Stats follows a link")
	}
	if _, err := d.Connect(t.Context(), spec); err == nil {
		t.Error("Connect follows a link")
	}
}

// A call that is never answered ends with its context.
func TestMuteFirecracker(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t, "-fake-mute-at", "PATCH /vm")), fakeSpec(t)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(t.Context())
	ctx, cancel := within(t, 100*time.Millisecond)
	defer cancel()
	if err := m.(vmm.Pauser).Pause(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("Pause = %v", err)
	}
}

// A Firecracker that hangs in the handler of a signal is ended, and its end is
// told, whoever reads of the signal: its starter, the next monitor with the line
// still in the pipe, or one that finds the line in the log.
func TestHangAfterASignal(t *testing.T) {
	for _, closed := range []string{"never", "before", "after"} {
		t.Run(closed, func(t *testing.T) {
			t.Parallel()
			d, spec := fakeDriver(t, fakeBinary(t, "-fake-signal-at", "PATCH /vm")), fakeSpec(t)
			started, err := d.Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			m := started.(*machine)
			if closed == "before" {
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := within(t, 100*time.Millisecond)
			defer cancel()
			if err := m.api.Pause(ctx); err == nil || ctx.Err() == nil {
				t.Fatalf("the call is answered: %v", err)
			}
			if closed == "after" {
				for caughtSignal(complaint(spec.Dir)) == "" {
					time.Sleep(5 * time.Millisecond)
				}
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if closed != "never" {
				d = fakeDriver(t, d.cfg.Binary)
				next, err := d.Connect(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				m = next.(*machine)
			}
			exit, err := m.Wait(t.Context())
			last, lastErr := d.LastExit(t.Context(), spec)
			for _, e := range []vmm.Exit{exit, last} {
				if e.Reason != vmm.ExitCrashed || !strings.Contains(e.Detail, "it caught SIGSEGV") {
					t.Errorf("it ended with %+v", e)
				}
			}
			if err := errors.Join(err, lastErr, m.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPauseRefusedWhereItKillsVsock(t *testing.T) {
	for version, refused := range map[string]bool{"1.12.1": false, "1.15.0": false, "1.16.0": true, "1.16.1": true, "1.17.0": false} {
		d, spec := fakeDriver(t, fakeBinary(t, "-fake-version", version)), fakeSpec(t)
		m, err := d.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.(vmm.Pauser).Pause(t.Context()); errors.Is(err, vmm.ErrUnsupported) != refused || err != nil != refused {
			t.Errorf("%s: Pause = %v", version, err)
		}
		if err := errors.Join(m.Kill(t.Context()), m.Close()); err != nil {
			t.Error(err)
		}
	}
}

// The log of a VMM whose guest has it complain without an end stays small, and
// the VMM does not wait for whoever reads it.
func TestLogIsCapped(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t, "-fake-loud")), fakeSpec(t)
	d.log = slog.New(slog.DiscardHandler)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(spec.Dir, rundir.LogFile)
	var most int64
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil {
			most = max(most, info.Size())
		}
	}
	if most < keepLog || most > maxLog {
		t.Errorf("the log had up to %d bytes", most)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, err = d.Connect(t.Context(), spec) // it goes on with nobody there to read
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Kill(t.Context()), m.Close()); err != nil {
		t.Error(err)
	}
}

// The starter is killed between fork and record, or before the instance is
// configured: the next one finds the process by its lock and sets it going.
func TestAdoptionOfAHalfStartedVMM(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	files, err := openFiles(spec.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	rec, proc, err := d.spawn(t.Context(), spec, d.whyReduced(), files)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill()
	m := d.newMachine(spec, rec, proc)
	if _, err := m.awaitAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.settings(spec, hostNames(spec))[:7] { // the vsock's socket exists then
		if err := m.api.Configure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	files.close()
	if err := os.Remove(filepath.Join(spec.Dir, rundir.RecordFile)); err != nil {
		t.Fatal(err)
	}
	again, err := fakeDriver(t, d.cfg.Binary).Connect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if f := again.Facts(); f.PID != rec.Process.PID || f.Started.Sub(rec.Started).Abs() > time.Second {
		t.Errorf("Facts = %+v, the record was %+v", f, rec)
	}
	if state, err := m.api.State(t.Context()); err != nil || state != "Running" {
		t.Errorf("State = %q, %v", state, err)
	}
	if err := again.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}

// The VMM ends at a call of a running machine: the call fails, and the end is
// told.
func TestExitWhileRunning(t *testing.T) {
	for call, do := range map[string]func(vmm.Machine) error{
		"PATCH /vm":    func(m vmm.Machine) error { return m.(vmm.Pauser).Pause(t.Context()) },
		"PUT /actions": func(m vmm.Machine) error { _, err := m.(vmm.Meter).Stats(t.Context()); return err },
	} {
		d, spec := fakeDriver(t, fakeBinary(t, "-fake-exit-after-start", "-fake-exit-at", call, "-fake-exit-code", "149")), fakeSpec(t)
		m, err := d.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(m); err == nil {
			t.Errorf("%s succeeds", call)
		}
		exit, err := m.Wait(t.Context())
		if err != nil || exit.Reason != vmm.ExitCrashed || !strings.Contains(exit.Detail, "SIGBUS") || !strings.Contains(exit.Detail, "told to end at "+call) {
			t.Errorf("Wait = %+v, %v", exit, err)
		}
		if err := m.Resume(t.Context()); !errors.Is(err, vmm.ErrNotRunning) {
			t.Errorf("Resume = %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

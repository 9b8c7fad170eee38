package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/telemetry"
	"github.com/banger-vm/banger/internal/vmm"
)

// Options are the command line of a monitor.
type Options struct {
	Dir   string // the VM's
	Adopt bool   // take the running VM over
	// ListenFD is a listening socket that was handed over; negative: make one.
	ListenFD int
	// Drivers makes the VMM drivers, by name.
	Drivers map[string]func(log *slog.Logger) vmm.Driver
	// Networks makes what carries a guest's frames, by the network's name.
	Networks map[string]Carry
	Log      telemetry.Config
	// Writable are directories that the drivers may write to besides the VM's.
	Writable []string
	// Executable are files and directories of VMMs that are not the system's.
	Executable []string

	movedFrom string // where the directory was at the VM's start; "" if there
}

// Carry makes what carries the frames of a card.
type Carry func(log *slog.Logger, card network.Attachment) (network.Carrier, error)

// farewell is how long a monitor that nobody dismisses goes on answering after its VM has ended, so
// that nobody who waits for the end has to look for it in a file.
const farewell = 300 * time.Millisecond

// Main is the life of a monitor process. It returns when its VM has ended.
func Main(ctx context.Context, o Options) error {
	// Small and quiet: many of these run at once. A frame and a stream's bytes
	// go from one goroutine to the next, which costs a fraction where none of
	// them has to wake another processor; and no guest gets more than one of
	// the host's by what it sends.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(40)
	debug.SetMemoryLimit(24 << 20)
	if err := sandbox.NoNewPrivileges(); err != nil {
		return err
	}
	var l machine.Launch
	if err := jsonfile.Read(o.Dir, control.LaunchFile, &l); err != nil {
		return fmt.Errorf("reading what to run: %w", err)
	}
	if l.Protocol != machine.Protocol {
		return fmt.Errorf("the VM was launched with version %d of the monitor's protocol, this is version %d", l.Protocol, machine.Protocol)
	}
	if !sameDir(l.Spec.Dir, o.Dir) { // it was moved, or is a copy whose original may run
		o.movedFrom = l.Spec.Dir
	}
	l.Spec.Dir = o.Dir
	o.Log.File, o.Log.MaxBytes = filepath.Join(o.Dir, control.LogFile), 256<<10
	log, closer, err := telemetry.Open(o.Log)
	if err != nil {
		return err
	}
	defer closer.Close()
	log = log.With("vm", l.VMID, "boot", l.BootID)
	held, err := lock(o.Dir)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := sign(o.Dir, hostexec.ID{}); err != nil {
		return err
	}
	return serve(ctx, o, l, log)
}

// sameDir reports whether two paths lead to one directory.
func sameDir(a, b string) bool {
	here, err := os.Stat(a)
	if err != nil {
		return false
	}
	there, err := os.Stat(b)
	return err == nil && os.SameFile(here, there)
}

// serve answers on the monitor's socket for as long as the VM lives.
func serve(ctx context.Context, o Options, l machine.Launch, log *slog.Logger) error {
	newDriver, ok := o.Drivers[l.Driver]
	if !ok {
		return fmt.Errorf("there is no VMM driver %q in this build", l.Driver)
	}
	m, err := newMonitor(l, newDriver(log), log)
	if err != nil {
		return err
	}
	defer m.console.Close()
	listener, err := listen(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.life = ctx
	m.networks, m.movedFrom = o.Networks, o.movedFrom
	m.confine = func(programs []string) error {
		reduced, err := confine(l, o.Writable, append(programs, o.Executable...))
		if reduced != "" {
			m.board.update(func(s *machine.Status) { s.Reduced = append(s.Reduced, reduced) })
		}
		return err
	}
	defer m.forwards.Close()
	unopened := m.openForwards(o.Adopt) // before anybody is told that there are none
	served := make(chan error, 1)
	go func() { served <- m.server().Serve(ctx, listener) }()
	if err := m.live(ctx, o.Adopt, unopened); err != nil {
		log.Error("the VM cannot be kept", "err", err)
	}
	select {
	case <-time.After(farewell):
	case <-m.dismissed:
	case <-ctx.Done():
	}
	cancel()
	return <-served
}

// live runs the VM, unless there is an obstacle, and writes down how it ended,
// before anybody is told.
func (m *Monitor) live(ctx context.Context, adopt bool, obstacle error) error {
	defer m.isKnown()
	var exit machine.Exit
	err := obstacle
	if err == nil {
		m.setAuto(m.auto.wanted)
		exit, err = m.runToEnd(ctx, adopt)
	}
	switch {
	case ctx.Err() != nil:
		return nil // the monitor was told to go; the VM lives on
	case errors.Is(err, machine.ErrNotRunning):
		exit = machine.Exit{Reason: machine.ExitCrashed, Detail: "it ended while no monitor was there to see how"}
	case err != nil:
		exit = machine.Exit{Reason: machine.ExitStartFailed, Detail: err.Error()}
	}
	if s, _ := m.board.get(); m.movedFrom != "" && exit.Reason == machine.ExitCrashed && s.VMM.PID == 0 {
		exit = machine.Exit{Reason: machine.ExitMoved, Detail: "that was in " + m.movedFrom}
	}
	m.line.End()
	exit.BootID = m.launch.BootID
	if exit.At.IsZero() {
		exit.At = time.Now().UTC()
	}
	write := jsonfile.Write
	if exit.Reason == machine.ExitKilled {
		// Syncing it would bring all to the disk that the guest has just written,
		// and the next thing may be to delete that. After a loss of power the VM
		// has ended either way.
		write = jsonfile.WriteStatus
	}
	werr := write(m.launch.Spec.Dir, control.ExitFile, exit)
	if werr != nil { // the farewell still tells it
		m.log.Error("writing down how the VM ended failed", "err", werr)
	}
	m.forwards.Close() // whoever hears of the end may want the ports
	m.board.update(func(s *machine.Status) {
		s.Phase, s.Exit, s.Reason = machine.PhaseExited, &exit, ""
	})
	m.log.Info("the VM has ended", "reason", exit.Reason, "detail", exit.Detail)
	return errors.Join(err, werr)
}

// listen takes over the socket that the daemon made, or makes one.
func listen(o Options) (net.Listener, error) {
	path := filepath.Join(o.Dir, control.SocketFile)
	if o.ListenFD < 0 {
		return rpc.Listen(path, 0o600)
	}
	fd := o.ListenFD
	if fd == 0 {
		var err error
		if fd, err = takeStdin(); err != nil {
			return nil, err
		}
	}
	return rpc.FileListener(os.NewFile(uintptr(fd), path), path)
}

// takeStdin returns what was handed over as standard input, whose place an
// empty one takes: no other file may come to be there.
func takeStdin() (int, error) {
	empty, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("opening an empty standard input: %w", err)
	}
	defer empty.Close()
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.Dup3(int(empty.Fd()), 0, unix.O_CLOEXEC)
	}
	if err != nil {
		return 0, fmt.Errorf("taking standard input over: %w", err)
	}
	return fd, nil
}

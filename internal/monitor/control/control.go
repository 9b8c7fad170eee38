// Package control is the daemon's end of a monitor: it spawns monitors, calls
// them, brings a killed one back, and so implements machine.Runtime.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/calm"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/turn"
)

// Methods of a monitor that only its daemon calls.
const (
	MethodStatus = "monitor.status" // StatusRequest → machine.Status
	MethodStop   = "monitor.stop"   // api.Empty → api.Empty, at once
	MethodKill   = "monitor.kill"   // api.Empty → api.Empty, at once

	MethodPause  = "monitor.pause"  // api.Empty → api.Empty, once the VMM has done so
	MethodResume = "monitor.resume" // api.Empty → api.Empty, once the VMM has done so

	MethodGrow = "monitor.grow" // GrowRequest → api.Empty, once the guest has done so

	MethodForward   = "monitor.forward"   // ForwardRequest → api.Empty
	MethodListening = "monitor.listening" // api.Empty → machine.Listening, once the guest is up

	MethodAuth = "monitor.auth" // api.Empty → wire.AuthReport, once the guest is up

	MethodPing   = "monitor.ping"   // WaitRequest → Pong
	MethodHealth = "monitor.health" // WaitRequest → wire.Health
	MethodCounts = "monitor.counts" // WaitRequest → machine.Counts
)

// StatusRequest asks for a status newer than After, or for any after the wait.
type StatusRequest struct {
	After  uint64 `json:"after"`
	WaitMS int64  `json:"wait_ms"`
}

// Files of a VM's directory that lie between daemon and monitor.
const (
	LaunchFile  = "launch.json" // daemon → monitor: what to run
	ExitFile    = "exit.json"   // monitor → daemon: how the boot ended
	SocketFile  = "monitor.sock"
	LogFile     = "monitor.log"
	MonitorFile = "monitor.json" // monitor → daemon: a Signature
	LockFile    = "monitor.lock" // held by the monitor, with flock(2), while it lives
)

// poll is how long one long poll lasts.
const poll = 30 * time.Second

// patience is how long a monitor may take to answer, beyond what it is asked to wait.
const patience = 5 * time.Second

// maxRevivals bounds how often one call brings a dead monitor back.
const maxRevivals = 3

// errSilent says that a monitor took a call and did not answer it in time.
var errSilent error = api.NewError(api.KindUnavailable, "the VM's monitor does not answer in time", "End it with: banger kill.")

// Config says how to spawn a monitor.
type Config struct {
	Program string   // bangerd
	Args    []string // before the monitor's own: settings that it shares with the daemon
	Units   Units    // keeps monitors and VMMs apart; nil: nobody does
}

// Runtime runs machines through monitors.
type Runtime struct {
	cfg Config
	log *slog.Logger

	turns turn.Set // at a directory: of whoever makes or ends its monitor
}

var (
	_ machine.Runtime = (*Runtime)(nil)
	_ machine.Ports   = (*Runtime)(nil)
	_ machine.Pauser  = (*Runtime)(nil)
	_ machine.Resizer = (*Runtime)(nil)
)

// New makes a Runtime.
func New(log *slog.Logger, cfg Config) *Runtime {
	return &Runtime{cfg: cfg, log: log}
}

// Launch writes down what to run and spawns the monitor that runs it.
func (r *Runtime) Launch(ctx context.Context, dir string, l machine.Launch) (machine.Status, error) {
	r.awaitFarewell(ctx, dir, l.BootID)
	if err := removeAll(dir, ExitFile, MonitorFile); err != nil {
		return machine.Status{}, err
	}
	if err := jsonfile.Write(dir, LaunchFile, l); err != nil {
		return machine.Status{}, err
	}
	release, err := r.turns.Take(ctx, dir)
	if err != nil {
		return machine.Status{}, err
	}
	err = r.exec(ctx, dir, l, false)
	release()
	if err != nil {
		return machine.Status{}, err
	}
	for tries := 0; ; tries++ {
		s, err := r.call(ctx, dir, StatusRequest{}, MethodStatus)
		for err == nil && s.SpawnMS == 0 && s.Phase == machine.PhaseStarting {
			s, err = r.call(ctx, dir, StatusRequest{After: s.Version, WaitMS: poll.Milliseconds()}, MethodStatus)
		}
		switch {
		case err == nil && s.Phase != machine.PhaseExited:
			return s, nil
		case ctx.Err() != nil:
			return machine.Status{}, errors.Join(context.Cause(ctx), r.Kill(context.WithoutCancel(ctx), dir))
		}
		if exit, xerr := r.LastExit(dir); xerr == nil && exit.BootID == l.BootID {
			return machine.Status{}, startError(exit)
		}
		if err == nil && s.Exit != nil { // exit.json could not be written
			return machine.Status{}, startError(*s.Exit)
		}
		if tries == maxRevivals || silent(err) {
			return machine.Status{}, errors.Join(r.gaveUp(dir, err), r.Kill(ctx, dir))
		}
		if err := pause(ctx, tries); err != nil {
			continue // the next round ends it
		}
		if err := r.revive(ctx, dir); err != nil { // the monitor was killed under us
			return machine.Status{}, err
		}
	}
}

// awaitFarewell waits until the last boot's monitor is gone: it goes on
// answering for a moment, and must not be taken for this boot's.
func (r *Runtime) awaitFarewell(ctx context.Context, dir, boot string) {
	var s machine.Status
	var err error
	for err == nil {
		s, err = r.call(ctx, dir, StatusRequest{After: s.Version, WaitMS: poll.Milliseconds()}, MethodStatus)
		if s.BootID == boot || s.Phase != machine.PhaseExited {
			return
		}
	}
}

func startError(x machine.Exit) error {
	return fault.New(fault.Unavailable, "See monitor.log and console.log in the VM's directory (banger inspect names it).",
		"the VMM did not start (%s): %s", x.Reason, x.Detail)
}

// Status returns what the monitor knows, from a new one where it was killed.
func (r *Runtime) Status(ctx context.Context, dir string) (machine.Status, error) {
	return r.ask(ctx, dir, StatusRequest{})
}

// Watch long-polls.
func (r *Runtime) Watch(ctx context.Context, dir string, after uint64) (machine.Status, error) {
	for {
		s, err := r.ask(ctx, dir, StatusRequest{After: after, WaitMS: poll.Milliseconds()})
		if err != nil || s.Version > after {
			return s, err
		}
	}
}

// ask calls for a status and revives a dead monitor once.
func (r *Runtime) ask(ctx context.Context, dir string, req StatusRequest) (machine.Status, error) {
	for tries := 0; ; tries++ {
		s, err := r.call(ctx, dir, req, MethodStatus)
		if err == nil || ctx.Err() != nil || api.KindOf(err) != api.KindUnavailable || silent(err) {
			return s, err
		}
		if ended(dir) {
			return machine.Status{}, machine.ErrNotRunning
		}
		if tries == maxRevivals {
			return machine.Status{}, r.gaveUp(dir, err)
		}
		if tries > 0 {
			if err := pause(ctx, tries); err != nil {
				return machine.Status{}, err
			}
		}
		if err := r.revive(ctx, dir); err != nil {
			return machine.Status{}, err
		}
	}
}

// Stop asks the guest to shut down and follows it to the end.
func (r *Runtime) Stop(ctx context.Context, dir string) (machine.Exit, error) {
	for round := 0; ; round++ {
		if round > 0 {
			if err := pause(ctx, round); err != nil {
				return machine.Exit{}, err
			}
		}
		s, err := r.Status(ctx, dir)
		if err != nil {
			return machine.Exit{}, err
		}
		if _, err = r.call(ctx, dir, api.Empty{}, MethodStop); err != nil && ctx.Err() == nil {
			continue // the monitor was killed or is at its end: Status tells
		}
		pid := s.MonitorPID
		for err == nil && s.MonitorPID == pid { // a new monitor must be asked again
			if s, err = r.Watch(ctx, dir, s.Version); err == nil && s.Phase == machine.PhaseExited {
				return *s.Exit, nil
			}
		}
		if errors.Is(err, machine.ErrNotRunning) {
			return r.LastExit(dir)
		}
		if err != nil {
			return machine.Exit{}, err
		}
	}
}

// LastExit reads how the last boot ended.
func (r *Runtime) LastExit(dir string) (machine.Exit, error) {
	var x machine.Exit
	err := jsonfile.Read(dir, ExitFile, &x)
	return x, err
}

// ended reports whether nothing was launched, or what was launched has ended,
// with the host at the latest.
func ended(dir string) bool {
	var l machine.Launch
	if err := jsonfile.Read(dir, LaunchFile, &l); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	var by Signature
	if host, err := hostexec.BootID(); err == nil && jsonfile.Read(dir, MonitorFile, &by) == nil && by.BootID != "" && by.BootID != host {
		return true
	}
	var x machine.Exit
	return jsonfile.Read(dir, ExitFile, &x) == nil && x.BootID == l.BootID
}

// call makes one call on a connection of its own.
func (r *Runtime) call(ctx context.Context, dir string, params any, method string) (machine.Status, error) {
	bound := patience
	if req, ok := params.(StatusRequest); ok {
		bound += time.Duration(req.WaitMS) * time.Millisecond
	}
	var s machine.Status
	err := exchange(ctx, dir, method, params, bound, &s)
	if err == nil && method == MethodStatus {
		r.nameUnits(&s)
	}
	return s, err
}

// exchange makes one call, bounded in time.
func exchange(ctx context.Context, dir, method string, params any, bound time.Duration, result any) error {
	conn, err := rpc.Dial(ctx, filepath.Join(dir, SocketFile))
	if err != nil {
		return api.NewError(api.KindUnavailable, "the VM's monitor does not answer: "+err.Error(), "")
	}
	c := rpc.NewClient(conn)
	defer c.Close()
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err = c.Call(bounded, method, params, result)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = errSilent
	}
	return err
}

// revive spawns a monitor that takes the running VMM over; where another
// caller already does, or ends it, it waits for that.
func (r *Runtime) revive(ctx context.Context, dir string) error {
	var l machine.Launch
	if err := jsonfile.Read(dir, LaunchFile, &l); err != nil {
		return fmt.Errorf("reading what runs in %s: %w", dir, err)
	}
	release, err := r.turns.Take(ctx, dir)
	if err != nil {
		return err
	}
	defer release()
	if ended(dir) {
		return nil
	}
	return r.exec(ctx, dir, l, true)
}

// exec starts the process. The socket listens before the process runs, so that
// nobody has to wait for it: early calls queue in the kernel.
func (r *Runtime) exec(ctx context.Context, dir string, l machine.Launch, adopt bool) error {
	socket, err := rpc.ListenFile(filepath.Join(dir, SocketFile), 0o600)
	if errors.Is(err, rpc.ErrInUse) {
		return nil // there is a monitor after all
	}
	if err != nil {
		return fmt.Errorf("making the monitor's socket: %w", err)
	}
	defer socket.Close()
	if adopt {
		r.log.Warn("the monitor is gone, spawning one that takes the VM over", "vm", l.VMID)
	}
	logFile, err := os.OpenFile(filepath.Join(dir, LogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the monitor's log: %w", err)
	}
	defer logFile.Close()
	args := append([]string{"monitor", "--name", l.Spec.Name, "--dir", dir, "--listen-fd", "0"}, r.cfg.Args...)
	if adopt {
		args = append(args, "--adopt")
	}
	d := hostexec.Daemon{Name: r.cfg.Program, Args: args, Dir: dir, Env: environment(), Stdin: socket, Stderr: logFile, Slack: calm.Late}
	if done, err := r.startService(ctx, l, d, adopt); done || err != nil {
		return err
	}
	p, err := hostexec.Spawn(d)
	if err != nil {
		return fmt.Errorf("starting the VM's monitor: %w", err)
	}
	return p.Close()
}

// environment is ours, and keeps a monitor's heap off huge pages: where the
// host gives them unasked, so small a process would have megabytes for nothing.
func environment() []string {
	const small = "disablethp=1"
	godebug := "GODEBUG=" + small
	if ours := os.Getenv("GODEBUG"); ours != "" {
		godebug = "GODEBUG=" + ours + "," + small
	}
	return append(os.Environ(), godebug)
}

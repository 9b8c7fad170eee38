// Package fake is a machine.Runtime in memory, for tests: machines run, stop
// and end as the test says, and survive the runtime's user.
package fake

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// Runtime is a host with machines, by directory.
type Runtime struct {
	// LaunchHook runs before a machine is launched; an error fails the launch.
	LaunchHook func(ctx context.Context, l machine.Launch) error
	// StatusHook runs before a status is told; an error is told instead.
	StatusHook func() error
	// StopHook runs before a machine is stopped; an error fails the stop.
	StopHook func(ctx context.Context) error
	// ForwardHook runs before forwards are changed; an error fails that.
	ForwardHook func() error
	// PauseHook runs before a machine is paused or resumed; an error fails that.
	PauseHook func(ctx context.Context) error
	// GrowHook runs before a work disk grows; an error fails that.
	GrowHook func(ctx context.Context, dir string, sizeBytes int64) error
	// AskHook runs before a guest is asked how it is; an error is told instead.
	AskHook func(ctx context.Context, dir string) error
	// Deaf machines ignore Stop.
	Deaf bool
	// Mute machines never become ready.
	Mute bool

	mu       sync.Mutex // guards the following
	machines map[string]*running
	exits    map[string]machine.Exit
	launches int
}

type running struct {
	status  machine.Status
	changed chan struct{}
}

var (
	_ machine.Runtime = (*Runtime)(nil)
	_ machine.Ports   = (*Runtime)(nil)
	_ machine.Pauser  = (*Runtime)(nil)
	_ machine.Vitals  = (*Runtime)(nil)
	_ machine.Resizer = (*Runtime)(nil)
)

// New makes a host without machines.
func New() *Runtime {
	return &Runtime{machines: make(map[string]*running), exits: make(map[string]machine.Exit)}
}

// Launch implements machine.Runtime.
func (r *Runtime) Launch(ctx context.Context, dir string, l machine.Launch) (machine.Status, error) {
	if r.LaunchHook != nil {
		if err := r.LaunchHook(ctx, l); err != nil {
			return machine.Status{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[dir]; m != nil {
		if m.status.BootID == l.BootID {
			return m.status, nil
		}
		return machine.Status{}, errors.New("another boot runs there")
	}
	r.launches++
	s := machine.Status{
		Version: 1, VMID: l.VMID, BootID: l.BootID, Phase: machine.PhaseStarting, SpawnMS: 1, Forwards: listened(l.Forwards),
	}
	if !r.Mute {
		s.Phase, s.ReadyMS, s.Guest = machine.PhaseRunning, 2, wire.Hello{Phase: wire.PhaseReady}
	}
	r.machines[dir] = &running{status: s, changed: make(chan struct{})}
	return s, nil
}

// Status implements machine.Runtime.
func (r *Runtime) Status(_ context.Context, dir string) (machine.Status, error) {
	if r.StatusHook != nil {
		if err := r.StatusHook(); err != nil {
			return machine.Status{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[dir]; m != nil {
		return m.status, nil
	}
	return machine.Status{}, machine.ErrNotRunning
}

// Watch implements machine.Runtime.
func (r *Runtime) Watch(ctx context.Context, dir string, after uint64) (machine.Status, error) {
	for {
		r.mu.Lock()
		m := r.machines[dir]
		if m == nil {
			r.mu.Unlock()
			return machine.Status{}, machine.ErrNotRunning
		}
		s, changed := m.status, m.changed
		r.mu.Unlock()
		if s.Version > after {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// Stop implements machine.Runtime.
func (r *Runtime) Stop(ctx context.Context, dir string) (machine.Exit, error) {
	if r.StopHook != nil {
		if err := r.StopHook(ctx); err != nil {
			return machine.Exit{}, err
		}
	}
	if r.Deaf {
		<-ctx.Done()
		return machine.Exit{}, context.Cause(ctx)
	}
	if !r.End(dir, machine.ExitStopped) {
		return machine.Exit{}, machine.ErrNotRunning
	}
	return r.LastExit(dir)
}

// Kill implements machine.Runtime.
func (r *Runtime) Kill(_ context.Context, dir string) error {
	r.End(dir, machine.ExitKilled)
	return nil
}

// LastExit implements machine.Runtime.
func (r *Runtime) LastExit(dir string) (machine.Exit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x, ok := r.exits[dir]
	if !ok {
		return x, fs.ErrNotExist
	}
	return x, nil
}

// End ends a machine for a reason and reports whether one ran.
func (r *Runtime) End(dir, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.machines[dir]
	if m == nil {
		return false
	}
	r.exits[dir] = machine.Exit{BootID: m.status.BootID, Reason: reason, At: time.Now(), Console: "last words"}
	delete(r.machines, dir)
	close(m.changed)
	return true
}

// Change changes a machine's status and wakes its watchers.
func (r *Runtime) Change(dir string, change func(*machine.Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.machines[dir]
	change(&m.status)
	m.status.Version++
	close(m.changed)
	m.changed = make(chan struct{})
}

// Running counts the machines.
func (r *Runtime) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.machines)
}

// Launches counts the machines that were ever launched.
func (r *Runtime) Launches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.launches
}

// Pause implements machine.Pauser.
func (r *Runtime) Pause(ctx context.Context, dir string) error {
	return r.pause(ctx, dir, func(s *machine.Status) {
		s.Phase, s.Pause, s.Held, s.Reason = machine.PhasePaused, vmm.PauseAsked, true, "a user paused it"
	})
}

// Resume implements machine.Pauser.
func (r *Runtime) Resume(ctx context.Context, dir string) error {
	return r.pause(ctx, dir, func(s *machine.Status) {
		s.Phase, s.Pause, s.Held, s.Reason = machine.PhaseRunning, "", false, ""
	})
}

func (r *Runtime) pause(ctx context.Context, dir string, change func(*machine.Status)) error {
	if r.PauseHook != nil {
		if err := r.PauseHook(ctx); err != nil {
			return err
		}
	}
	if _, err := r.Status(ctx, dir); err != nil {
		return err
	}
	r.Change(dir, change)
	return nil
}

// anyPort is where forwards begin that ask for any port; the next one is beside it.
const anyPort = 40000

// listened are forwards that nobody listens on.
func listened(all []forward.Forward) (out []forward.Status) {
	for i, f := range all {
		s := forward.Status{Forward: f, Port: f.HostPort}
		if s.Port == 0 {
			s.Port = anyPort + i
		}
		out = append(out, s)
	}
	return out
}

// Forward implements machine.Ports; with auto the guest listens on port 3000.
func (r *Runtime) Forward(_ context.Context, dir string, all []forward.Forward, auto bool) error {
	if r.ForwardHook != nil {
		if err := r.ForwardHook(); err != nil {
			return err
		}
	}
	if _, err := r.Status(context.Background(), dir); err != nil {
		return err
	}
	r.Change(dir, func(s *machine.Status) {
		s.Forwards = listened(all)
		if auto {
			s.Forwards = append(s.Forwards, forward.Status{Forward: forward.Forward{GuestPort: 3000}, Port: 3000, Auto: true})
		}
	})
	return nil
}

// Listening implements machine.Ports.
func (r *Runtime) Listening(ctx context.Context, dir string) (machine.Listening, error) {
	s, err := r.Status(ctx, dir)
	return machine.Listening{
		Guest:    wire.Listeners{All: []wire.Listening{{Network: "tcp", Address: "127.0.0.1", Port: 80, Process: "httpd"}}},
		Forwards: s.Forwards,
	}, err
}

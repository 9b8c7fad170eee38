package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu/qmp"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// machine is a running QEMU.
type machine struct {
	dir    string
	name   string
	log    *slog.Logger
	proc   *hostexec.Process
	rec    record
	qmp    *qmp.Client // nil until attach
	events chan vmm.Event
	ended  chan struct{} // closed with exit set when QEMU is gone

	mu       sync.Mutex
	exit     vmm.Exit
	facts    vmm.Facts
	waiting  net.Conn // a console connected before its first reader
	console  net.Conn
	agent    net.Conn
	link     net.Conn
	killed   bool
	shutdown string // why QEMU said that it ends
	pause    string // why it said that it will stop
	paused   bool
}

var (
	_ vmm.Machine = (*machine)(nil)
	_ vmm.Pauser  = (*machine)(nil)
	_ vmm.Meter   = (*machine)(nil)
	_ vmm.Plugged = (*machine)(nil)
	_ vmm.Resizer = (*machine)(nil)
)

func newMachine(log *slog.Logger, spec vmm.Spec, rec record, proc *hostexec.Process) *machine {
	return &machine{
		dir: spec.Dir, name: spec.Name, log: log, proc: proc, rec: rec,
		events: make(chan vmm.Event, 32), ended: make(chan struct{}),
		facts: vmm.Facts{
			PID: rec.Process.PID, Process: rec.Process, Accel: rec.Accel, Started: rec.Started,
			Isolation: isolation(rec.Accel), Reduced: reduced(rec),
		},
	}
}

// Facts are the facts known when the machine was started or connected.
func (m *machine) Facts() vmm.Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts
}

// Console opens the serial console. The first one after Start has it from the
// first byte.
func (m *machine) Console(ctx context.Context) (io.ReadWriteCloser, error) {
	m.mu.Lock()
	first := m.waiting
	m.waiting = nil
	if first != nil {
		m.console = first
	}
	m.mu.Unlock()
	if first != nil {
		return first, nil
	}
	return m.open(ctx, fileConsole, &m.console)
}

// Agent opens the channel to the guest's agent.
func (m *machine) Agent(ctx context.Context) (io.ReadWriteCloser, error) {
	return m.open(ctx, fileAgent, &m.agent)
}

// open connects to a socket that serves one connection at a time; the one
// that we had before gives way.
func (m *machine) open(ctx context.Context, name string, slot *net.Conn) (net.Conn, error) {
	m.mu.Lock()
	old := *slot
	*slot = nil
	m.mu.Unlock()
	if old != nil {
		_ = old.Close() // its user may have closed it already
	}
	conn, err := rundir.Dial(ctx, m.dir, name)
	if err != nil {
		if m.gone() {
			return nil, fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
		}
		return nil, err
	}
	m.mu.Lock()
	old, *slot = *slot, conn
	m.mu.Unlock()
	if old != nil { // a call beside ours was quicker
		_ = old.Close()
	}
	return conn, nil
}

func (m *machine) gone() bool {
	select {
	case <-m.proc.Done():
		return true
	default:
		return false
	}
}

// Events are what QEMU reports.
func (m *machine) Events() <-chan vmm.Event { return m.events }

// Resume lets the guest go on.
func (m *machine) Resume(ctx context.Context) error {
	if m.gone() {
		return fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
	}
	return m.qmp.Execute(ctx, "cont", nil, nil)
}

// Pause stops the guest.
func (m *machine) Pause(ctx context.Context) error {
	if m.gone() {
		return fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
	}
	return m.qmp.Execute(ctx, "stop", nil, nil)
}

// Kill ends QEMU at once.
func (m *machine) Kill(ctx context.Context) error {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	if err := m.proc.Kill(); err != nil {
		return err
	}
	_, err := m.Wait(ctx)
	return err
}

// Wait returns when QEMU is gone.
func (m *machine) Wait(ctx context.Context) (vmm.Exit, error) {
	select {
	case <-m.ended:
	case <-ctx.Done():
		return vmm.Exit{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exit.Reason == "" {
		return vmm.Exit{}, fmt.Errorf("waiting for the VMM of %s: %w", m.name, os.ErrClosed)
	}
	return m.exit, nil
}

// Close lets go of QEMU, which lives on.
func (m *machine) Close() error {
	m.mu.Lock()
	conns := []net.Conn{m.waiting, m.console, m.agent, m.link}
	m.waiting, m.console, m.agent, m.link = nil, nil, nil, nil
	m.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			_ = c.Close() // its user may have closed it already
		}
	}
	var err error
	if m.qmp != nil {
		err = m.qmp.Close()
	}
	err = errors.Join(err, m.proc.Close())
	<-m.ended
	return err
}

// watch waits for the end of QEMU, or of our interest, and closes Events. All
// that QEMU reported comes before.
func (m *machine) watch() {
	exit, err := m.proc.Wait(context.Background())
	if m.qmp != nil {
		<-m.qmp.Done()
	}
	close(m.events)
	if err == nil {
		m.mu.Lock()
		killed, shutdown := m.killed, m.shutdown
		m.mu.Unlock()
		how := ending(m.dir, exit, shutdown, killed)
		m.mu.Lock()
		m.exit = how
		m.mu.Unlock()
	}
	close(m.ended)
}

package firecracker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// machine is a running Firecracker.
type machine struct {
	spec   vmm.Spec
	log    *slog.Logger
	proc   *hostexec.Process
	warden *enclose.Warden // who started it, nil if that was not one of ours
	api    *fcapi.Client
	meter  *meter
	bell   *bell // nil where this is not who started the instance
	driver *Driver
	events chan vmm.Event
	ended  chan struct{} // closed with exit set when Firecracker is gone
	logged chan struct{} // closed when its log has been read to the end

	doomed sync.Once // started, it ends a Firecracker that is about to end

	pausing chan struct{} // has room for who pauses or resumes

	recording sync.Mutex // held across writes of the record, which is the leaf here

	mu      sync.Mutex
	rec     record
	exit    vmm.Exit
	code    int // that the process ended with, where that is known
	facts   vmm.Facts
	version fcapi.Version
	console *console
	agent   net.Conn
	wire    *os.File // of the network card, nil without one
	link    network.Link
	killed  bool
	paused  bool
	over    bool // events is closed, or about to be
}

var (
	_ vmm.Machine = (*machine)(nil)
	_ vmm.Pauser  = (*machine)(nil)
	_ vmm.Meter   = (*machine)(nil)
	_ vmm.Plugged = (*machine)(nil)
	_ vmm.Resizer = (*machine)(nil)
)

func (d *Driver) newMachine(spec vmm.Spec, rec record, proc *hostexec.Process) *machine {
	d.mu.Lock()
	warden := d.warden[spec.Dir]
	d.mu.Unlock()
	run := filepath.Join(spec.Dir, dirRun)
	return &machine{
		spec: spec, log: d.log, proc: proc, warden: warden, driver: d, rec: rec, meter: newMeter(spec.Dir),
		api:    fcapi.New(func(ctx context.Context) (net.Conn, error) { return rundir.Dial(ctx, run, fileAPI) }),
		events: make(chan vmm.Event, 32), ended: make(chan struct{}), logged: make(chan struct{}), pausing: make(chan struct{}, 1),
		facts: vmm.Facts{
			PID: rec.Process.PID, Process: rec.Process, Accel: vmm.AccelKVM, Started: rec.Started,
			Isolation: rec.Isolation, Reduced: rec.Reduced, Lingers: true,
		},
	}
}

// Facts are the facts known when the machine was started or connected.
func (m *machine) Facts() vmm.Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts
}

// Console opens the serial console. What nobody has read yet comes first.
func (m *machine) Console(context.Context) (io.ReadWriteCloser, error) {
	m.mu.Lock()
	old := m.console
	m.console = nil
	m.mu.Unlock()
	if old != nil {
		_ = old.Close() // its user may have closed it already
	}
	if m.gone() {
		return nil, fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	}
	c, err := m.openConsole()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	old, m.console = m.console, c
	m.mu.Unlock()
	if old != nil { // a call beside ours was quicker
		_ = old.Close()
	}
	return c, nil
}

// Agent opens a channel to the guest's agent; the one that we had before gives
// way.
func (m *machine) Agent(ctx context.Context) (io.ReadWriteCloser, error) {
	m.swapAgent(nil)
	conn, err := m.reach(ctx)
	if err != nil {
		if m.gone() {
			return nil, fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
		}
		return nil, err
	}
	m.swapAgent(conn)
	return conn, nil
}

func (m *machine) swapAgent(conn net.Conn) {
	m.mu.Lock()
	old := m.agent
	m.agent = conn
	m.mu.Unlock()
	if old != nil {
		_ = old.Close() // its user may have closed it already
	}
}

func (m *machine) gone() bool {
	select {
	case <-m.proc.Done():
		return true
	default:
		return false
	}
}

// Events are what is known of the guest.
func (m *machine) Events() <-chan vmm.Event { return m.events }

// Kill ends Firecracker at once.
func (m *machine) Kill(ctx context.Context) error { return m.end(ctx, vmm.ExitKilled) }

// end ends Firecracker for a reason; the first one stays.
func (m *machine) end(ctx context.Context, why string) error {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	m.note(func(r *record) {
		if r.Ended == "" {
			r.Ended = why
		}
	})
	if err := m.proc.Kill(); err != nil {
		return err
	}
	_, err := m.Wait(ctx)
	return err
}

// note changes the record, while there is something to record.
func (m *machine) note(change func(*record)) {
	m.recording.Lock()
	defer m.recording.Unlock()
	m.mu.Lock()
	change(&m.rec)
	rec := m.rec
	m.mu.Unlock()
	if m.gone() {
		return
	}
	if err := rundir.WriteRecord(m.spec.Dir, rec); err != nil { // the next monitor does not learn it
		m.log.Warn("the VMM's record cannot be written", "name", m.spec.Name, "err", err)
	}
}

// Wait returns when Firecracker is gone.
func (m *machine) Wait(ctx context.Context) (vmm.Exit, error) {
	select {
	case <-m.ended:
	case <-ctx.Done():
		return vmm.Exit{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exit.Reason == "" {
		return vmm.Exit{}, fmt.Errorf("waiting for the VMM of %s: %w", m.spec.Name, os.ErrClosed)
	}
	return m.exit, nil
}

// Close lets go of Firecracker, which lives on.
func (m *machine) Close() error {
	m.swapAgent(nil)
	m.bell.close()
	m.dropWire()
	m.mu.Lock()
	c := m.console
	m.console = nil
	m.mu.Unlock()
	if c != nil {
		_ = c.Close() // its user may have closed it already
	}
	m.api.Close()
	err := m.proc.Close()
	<-m.ended
	return err
}

// watch waits for the end of Firecracker, or of our interest, and closes
// Events.
func (m *machine) watch() {
	exit, err := m.proc.Wait(context.Background())
	if err == nil {
		m.mu.Lock()
		reason, killed := m.rec.Ended, m.killed
		m.mu.Unlock()
		how := m.ending(exit, reason, killed)
		m.mu.Lock()
		m.exit = how
		m.mu.Unlock()
		switch how.Reason {
		case vmm.ExitReset, vmm.ExitFault:
			m.emit(vmm.Event{Type: vmm.EventReset})
		case vmm.ExitPoweroff:
			m.emit(vmm.Event{Type: vmm.EventPoweroff})
		}
	}
	m.mu.Lock()
	m.over = true
	m.mu.Unlock()
	close(m.events)
	close(m.ended)
}

// emit drops the oldest event for a reader that does not keep up.
func (m *machine) emit(e vmm.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !m.over {
		select {
		case m.events <- e:
			return
		default:
		}
		select {
		case <-m.events:
		default:
		}
	}
}

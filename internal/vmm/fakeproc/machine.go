package fakeproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// reduced is what no machine of the fake VMM has.
const reduced = "Its VMM is a fake, for tests: the guest has no kernel of its own and is processes of this host."

// machine is a running VMM.
type machine struct {
	dir    string
	name   string
	log    *slog.Logger
	proc   *hostexec.Process
	ctl    *client // nil until attach
	events chan vmm.Event
	ended  chan struct{} // closed with exit set when the VMM is gone

	mu      sync.Mutex
	exit    vmm.Exit
	facts   vmm.Facts
	console net.Conn
	agent   net.Conn
	killed  bool
}

var (
	_ vmm.Machine = (*machine)(nil)
	_ vmm.Pauser  = (*machine)(nil)
	_ vmm.Meter   = (*machine)(nil)
)

func newMachine(log *slog.Logger, spec vmm.Spec, rec record, proc *hostexec.Process) *machine {
	return &machine{
		dir: spec.Dir, name: spec.Name, log: log, proc: proc, events: make(chan vmm.Event, 32), ended: make(chan struct{}),
		facts: vmm.Facts{
			PID: rec.Process.PID, Process: rec.Process, Version: Version, Accel: vmm.AccelTCG, Started: rec.Started,
			Isolation: vmm.IsolationNoPromise, Reduced: []string{reduced},
		},
	}
}

// attach connects to the VMM, and sets a guest going that has not begun. From
// then on, attached or not, m is watched.
func (m *machine) attach(ctx context.Context) error {
	defer func() { go m.watch() }()
	conn, err := rundir.Dial(ctx, m.dir, fileControl)
	if err != nil {
		return err
	}
	if m.ctl, err = newClient(ctx, conn, m.heard); err != nil {
		return err
	}
	switch m.ctl.hello.State {
	case StatePrelaunch:
		_, err = m.ctl.ask(ctx, DoStart)
	case StatePaused:
		m.mu.Lock()
		m.facts.Paused = true
		m.mu.Unlock()
		m.heard(Message{Event: vmm.EventPaused, Reason: m.ctl.hello.Reason})
	}
	return err
}

// endingLag is how much later than its connections a VMM that dies may end.
const endingLag = 500 * time.Millisecond

// explain says of a failed start what the VMM said before it ended, if it did.
func (m *machine) explain(ctx context.Context, err error) error {
	select {
	case <-m.ended:
	case <-ctx.Done():
		return err
	case <-time.After(endingLag):
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Errorf("the fake VMM did not start: %s", m.exit.Detail)
}

// heard takes an event; the oldest gives way for a reader that does not keep up.
func (m *machine) heard(msg Message) {
	for {
		select {
		case m.events <- vmm.Event{Type: msg.Event, Reason: msg.Reason}:
			return
		default:
		}
		select {
		case <-m.events:
		default:
		}
	}
}

// Facts are the facts known when the machine was started or connected.
func (m *machine) Facts() vmm.Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts
}

// Console opens the serial console; the VMM keeps what nobody has read yet.
func (m *machine) Console(ctx context.Context) (io.ReadWriteCloser, error) {
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

// Events are what the VMM reports.
func (m *machine) Events() <-chan vmm.Event { return m.events }

// Resume lets the guest go on.
func (m *machine) Resume(ctx context.Context) error {
	_, err := m.ask(ctx, DoResume)
	return err
}

// Pause stops the guest.
func (m *machine) Pause(ctx context.Context) error {
	_, err := m.ask(ctx, DoPause)
	return err
}

// Stats counts what the machine did; of the processor and the memory only what
// the VMM took itself.
func (m *machine) Stats(ctx context.Context) (vmm.Stats, error) {
	answer, err := m.ask(ctx, DoStats)
	if err != nil {
		return vmm.Stats{}, err
	}
	s := vmm.Stats{Drives: answer.Drives}
	s.CPU, s.Resident, err = hostexec.Usage(m.proc.ID().PID)
	return s, err
}

func (m *machine) ask(ctx context.Context, do string) (Message, error) {
	if m.gone() {
		return Message{}, fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
	}
	return m.ctl.ask(ctx, do)
}

// Kill ends the VMM at once.
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

// Wait returns when the VMM is gone.
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

// Close lets go of the VMM, which lives on.
func (m *machine) Close() error {
	m.mu.Lock()
	conns := []net.Conn{m.console, m.agent}
	m.console, m.agent = nil, nil
	m.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			_ = c.Close() // its user may have closed it already
		}
	}
	var err error
	if m.ctl != nil {
		if err = m.ctl.close(); errors.Is(err, net.ErrClosed) {
			err = nil // a second call
		}
	}
	err = errors.Join(err, m.proc.Close())
	<-m.ended
	return err
}

// watch waits for the end of the VMM, or of our interest, and closes Events.
// All that it reported comes before.
func (m *machine) watch() {
	exit, err := m.proc.Wait(context.Background())
	if m.ctl != nil {
		<-m.ctl.done
	}
	close(m.events)
	if err == nil {
		m.mu.Lock()
		killed := m.killed
		m.mu.Unlock()
		how := ending(m.dir, exit, killed)
		m.mu.Lock()
		m.exit = how
		m.mu.Unlock()
	}
	close(m.ended)
}

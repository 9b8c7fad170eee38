package fake

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/banger-vm/banger/internal/vmm"
)

// machine is one process's hold on a guest.
type machine struct {
	host   *Host
	guest  *Guest
	facts  vmm.Facts
	events chan vmm.Event
	gone   chan struct{} // Close was called
	ended  chan struct{} // events is closed
	once   sync.Once

	mu      sync.Mutex
	console *consoleConn
	agent   io.Closer
}

var (
	_ vmm.Machine = (*machine)(nil)
	_ vmm.Pauser  = (*machine)(nil)
	_ vmm.Meter   = (*machine)(nil)
)

func newMachine(h *Host, g *Guest) *machine {
	m := &machine{
		host: h, guest: g, events: make(chan vmm.Event, 32),
		gone: make(chan struct{}), ended: make(chan struct{}),
	}
	g.watch(m)
	go func() {
		select {
		case <-g.stopped:
		case <-m.gone:
		}
		g.unwatch(m)
		close(m.events)
		close(m.ended)
	}()
	return m
}

// hear is called under the guest's lock, so never after unwatch; the oldest
// event gives way.
func (m *machine) hear(e vmm.Event) {
	for {
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

func (m *machine) Facts() vmm.Facts { return m.facts }

func (m *machine) Agent(ctx context.Context) (io.ReadWriteCloser, error) {
	if err := m.host.at(ctx, AtAgent, m.guest.spec); err != nil {
		return nil, err
	}
	if m.guest.over() {
		return nil, fmt.Errorf("%s: %w", m.guest.spec.Name, vmm.ErrNotRunning)
	}
	conn := m.guest.dial()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent = conn
	return conn, nil
}

func (m *machine) Console(context.Context) (io.ReadWriteCloser, error) {
	conn := m.guest.console.open()
	m.mu.Lock()
	old := m.console
	m.console = conn
	m.mu.Unlock()
	if old != nil {
		old.stop()
	}
	return conn, nil
}

func (m *machine) Events() <-chan vmm.Event { return m.events }

func (m *machine) Resume(ctx context.Context) error {
	if err := m.host.at(ctx, AtResume, m.guest.spec); err != nil {
		return err
	}
	if m.guest.over() {
		return fmt.Errorf("%s: %w", m.guest.spec.Name, vmm.ErrNotRunning)
	}
	m.guest.resume()
	return nil
}

func (m *machine) Pause(ctx context.Context) error {
	if err := m.host.at(ctx, AtPause, m.guest.spec); err != nil {
		return err
	}
	if m.guest.over() {
		return fmt.Errorf("%s: %w", m.guest.spec.Name, vmm.ErrNotRunning)
	}
	m.guest.Pause(vmm.PauseAsked)
	return nil
}

func (m *machine) Stats(context.Context) (vmm.Stats, error) {
	if m.guest.over() {
		return vmm.Stats{}, fmt.Errorf("%s: %w", m.guest.spec.Name, vmm.ErrNotRunning)
	}
	return m.guest.stats(), nil
}

func (m *machine) Kill(ctx context.Context) error {
	if err := m.host.at(ctx, AtKill, m.guest.spec); err != nil {
		return err
	}
	m.guest.end(vmm.Exit{Reason: vmm.ExitKilled})
	return nil
}

func (m *machine) Wait(ctx context.Context) (vmm.Exit, error) {
	select {
	case <-m.guest.stopped:
		return m.guest.lastExit(), nil
	case <-m.gone:
		return vmm.Exit{}, fmt.Errorf("waiting for %s: %w", m.guest.spec.Name, os.ErrClosed)
	case <-ctx.Done():
		return vmm.Exit{}, context.Cause(ctx)
	}
}

func (m *machine) Close() error {
	m.once.Do(func() { close(m.gone) })
	<-m.ended
	m.mu.Lock()
	console, agent := m.console, m.agent
	m.console, m.agent = nil, nil
	m.mu.Unlock()
	if console != nil {
		console.stop()
	}
	if agent != nil {
		return agent.Close()
	}
	return nil
}

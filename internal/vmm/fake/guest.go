package fake

import (
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
)

// Guest is a fake machine from the inside, and from the host's kernel.
type Guest struct {
	host    *Host
	spec    vmm.Spec
	console *console
	stopped chan struct{}

	mu       sync.Mutex
	facts    vmm.Facts
	watchers map[*machine]bool
	agent    net.Conn // the guest's end of the current connection
	reason   string   // why it is paused; "" runs
	resumed  chan struct{}
	exit     vmm.Exit
	ended    bool
	counted  vmm.Stats
}

// Spec is what the machine was started with.
func (g *Guest) Spec() vmm.Spec { return g.spec }

// Stopped is closed when the machine has ended.
func (g *Guest) Stopped() <-chan struct{} { return g.stopped }

// Console is the guest's end of the serial line. Writes never block; reads
// end with the machine.
func (g *Guest) Console() io.ReadWriter { return g.console.guestEnd() }

// Poweroff ends the machine from the inside.
func (g *Guest) Poweroff() {
	g.emit(vmm.Event{Type: vmm.EventPoweroff})
	g.end(vmm.Exit{Reason: vmm.ExitPoweroff})
}

// Reset ends the machine as a reboot or a panic does.
func (g *Guest) Reset() {
	g.emit(vmm.Event{Type: vmm.EventReset})
	g.end(vmm.Exit{Reason: vmm.ExitReset})
}

// Crash ends the machine as a kill from outside does.
func (g *Guest) Crash(detail string) {
	g.end(vmm.Exit{Reason: vmm.ExitCrashed, Detail: detail})
}

// Pause stops the machine for reason; what it returns is closed at Resume.
func (g *Guest) Pause(reason string) <-chan struct{} {
	g.mu.Lock()
	runs := g.reason == ""
	if runs {
		g.reason, g.resumed = reason, make(chan struct{})
	}
	resumed := g.resumed
	g.mu.Unlock()
	if runs {
		g.emit(vmm.Event{Type: vmm.EventPaused, Reason: reason})
	}
	return resumed
}

// Count sets what the machine's Stats answers.
func (g *Guest) Count(s vmm.Stats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counted = s
}

func (g *Guest) stats() vmm.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.counted
	s.Drives = maps.Clone(s.Drives)
	return s
}

func (g *Guest) resume() {
	g.mu.Lock()
	was := g.reason != ""
	if was {
		g.reason = ""
		close(g.resumed)
	}
	g.mu.Unlock()
	if was {
		g.emit(vmm.Event{Type: vmm.EventResumed})
	}
}

func (g *Guest) over() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// watch adds m to those who hear of events; what happened before it is told
// is that the machine is paused.
func (g *Guest) watch(m *machine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.facts = g.facts
	m.facts.Paused = g.reason != ""
	if m.facts.Paused {
		m.hear(vmm.Event{Type: vmm.EventPaused, Reason: g.reason})
	}
	g.watchers[m] = true
}

func (g *Guest) unwatch(m *machine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.watchers, m)
}

func (g *Guest) emit(e vmm.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	for m := range g.watchers {
		m.hear(e)
	}
}

// dial connects to the agent; an earlier connection ends.
func (g *Guest) dial() net.Conn {
	host, guest := net.Pipe()
	g.mu.Lock()
	old := g.agent
	g.agent = guest
	ended := g.ended
	g.mu.Unlock()
	if old != nil {
		_ = old.Close() // a pipe's Close cannot fail
	}
	switch {
	case ended:
		_ = guest.Close()
	case g.host.Agent != nil:
		go g.host.Agent(g, guest)
	}
	return host
}

func (g *Guest) end(exit vmm.Exit) {
	exit.At = time.Now()
	g.mu.Lock()
	was := g.ended
	if !was {
		g.ended, g.exit = true, exit
	}
	agent := g.agent
	g.mu.Unlock()
	if was {
		return
	}
	if agent != nil {
		_ = agent.Close() // a pipe's Close cannot fail
	}
	g.console.end()
	close(g.stopped)
}

func (g *Guest) lastExit() vmm.Exit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.exit
}

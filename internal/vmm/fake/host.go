// Package fake is a VMM driver without a VMM: its machines live in a Host
// object, survive the drivers that started them, and fail or block where a
// test wants. Their guests are functions of the test.
package fake

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
)

// Point is a place where a Host's Hook is called.
type Point string

// The points, in the order of a machine's life.
const (
	AtInfo    Point = "info"
	AtPrepare Point = "prepare"
	AtStart   Point = "start"   // before the machine exists
	AtStarted Point = "started" // it runs; an error ends it and fails Start
	AtConnect Point = "connect"
	AtAgent   Point = "agent"
	AtPause   Point = "pause"
	AtResume  Point = "resume"
	AtKill    Point = "kill"
)

// Host is the computer that fake machines run on.
type Host struct {
	// Hook, if set, is called at each Point; it may block, and its error is
	// the caller's.
	Hook func(ctx context.Context, at Point, spec vmm.Spec) error
	// Boot, if set, is the guest from its start; Stopped ends with it.
	Boot func(g *Guest)
	// Agent, if set, serves one connection to the guest's agent; else it is
	// answered by nobody. The function closes conn or leaves it to the host.
	Agent func(g *Guest, conn net.Conn)
	// Lingers is what the machines' facts say of themselves.
	Lingers bool

	mu     sync.Mutex
	guests map[string]*Guest // by directory, the ended ones too
	pid    int
}

// NewHost makes a computer without machines. Hook, Boot and Agent may be set
// until the first driver uses it.
func NewHost() *Host { return &Host{guests: map[string]*Guest{}, pid: 1000} }

func (h *Host) at(ctx context.Context, p Point, spec vmm.Spec) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if h.Hook == nil {
		return nil
	}
	return h.Hook(ctx, p, spec)
}

// Guest is the guest in dir, nil if there never was one.
func (h *Host) Guest(dir string) *Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guests[dir]
}

// ByPID is the running guest whose VMM has that pid, nil if there is none.
func (h *Host) ByPID(pid int) *Guest {
	h.mu.Lock()
	guests := slices.Collect(maps.Values(h.guests))
	h.mu.Unlock()
	for _, g := range guests {
		if g.facts.PID == pid && !g.over() {
			return g
		}
	}
	return nil
}

// boot makes the machine, unless one runs.
func (h *Host) boot(spec vmm.Spec) (*Guest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.guests[spec.Dir]; old != nil && !old.over() {
		return nil, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrRunning)
	}
	h.pid++
	accel := spec.Accel
	if accel == vmm.AccelAuto || accel == "" {
		accel = vmm.AccelTCG
	}
	g := &Guest{
		spec: spec, host: h, stopped: make(chan struct{}), resumed: make(chan struct{}),
		console: newConsole(), watchers: map[*machine]bool{},
		facts: vmm.Facts{
			PID: h.pid, Version: "1.0", Accel: accel, Started: time.Now(), Isolation: vmm.IsolationNoPromise, Lingers: h.Lingers,
		},
	}
	close(g.resumed)
	h.guests[spec.Dir] = g
	return g, nil
}

// run starts what the test supplies.
func (h *Host) run(g *Guest) {
	if h.Boot != nil {
		go h.Boot(g)
	}
}

package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banger-vm/banger/internal/console"
	"github.com/banger-vm/banger/internal/forward/relay"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/line"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// haltGrace is how long a halted guest's VMM has to end by itself; some never
// do, and of those that say so only the last words on the console are awaited.
const (
	haltGrace   = 5 * time.Second
	lingerGrace = 200 * time.Millisecond
)

// lastWords is how long the console of a VMM that has ended is waited for.
const lastWords = time.Second

// Monitor keeps one VM from the start of its VMM to the end of its last reboot.
type Monitor struct {
	launch  machine.Launch
	driver  vmm.Driver
	log     *slog.Logger
	board   *board
	console *console.Keeper
	line    *line.Line
	agent   *guest.Client

	forwards *relay.Set
	auto     autoForward
	traffic  network.Count // of the guest's card

	mu      sync.Mutex // guards the following
	machine vmm.Machine
	asked   string // why we end the VMM, "" while we do not
	hello   wire.Hello

	// confine comes before a VMM is started, or after one was taken over; the
	// programs may be run after it.
	confine  func(programs []string) error
	networks map[string]Carry
	// movedFrom is where the VM's directory was at its start; "" if it is there.
	movedFrom string

	life    context.Context // of the process; set before anything is served
	stop    atomic.Bool     // a graceful stop was asked for
	pausing chan struct{}   // held by who pauses the VM or lets it go on
	giving  chan struct{}   // held by who gives the guest what is its user's own
	wanted  atomic.Bool     // a user wants it paused; changed by who has the turn
	room    func(dir string) (free int64, err error)
	// dismissed is closed by dismiss: nobody needs this monitor once its VM has ended.
	dismissed chan struct{}
	dismiss   func()
	// known is closed by isKnown, as soon as the status is of a VMM that was taken
	// over and not of nothing yet: a VM that runs never seems to be starting.
	known   chan struct{}
	isKnown func()
}

// newMonitor prepares for the VM that launch describes.
func newMonitor(l machine.Launch, driver vmm.Driver, log *slog.Logger) (*Monitor, error) {
	c, err := console.Keep(l.Spec.Dir)
	if err != nil {
		return nil, err
	}
	status := machine.Status{
		VMID: l.VMID, BootID: l.BootID, MonitorPID: os.Getpid(), Phase: machine.PhaseStarting,
	}
	restore(l.Spec.Dir, &status)
	m := &Monitor{launch: l, driver: driver, log: log, board: newBoard(status), console: c, line: line.New(l.Spec.Dir, c), dismissed: make(chan struct{})}
	m.dismiss = sync.OnceFunc(func() { close(m.dismissed) })
	m.known = make(chan struct{})
	m.isKnown = sync.OnceFunc(func() { close(m.known) })
	m.agent = guest.New(m.dialAgent, log, guest.Config{})
	m.forwards = relay.New(m.dialPort, log, relay.Config{Changed: m.forwarding})
	m.auto.turn = make(chan struct{}, 1)
	m.pausing, m.giving, m.room = make(chan struct{}, 1), make(chan struct{}, 1), vmm.Room
	return m, nil
}

// run keeps the VM until it has ended for good and returns how. With adopt it
// takes a running VMM over; machine.ErrNotRunning if there is none.
func (m *Monitor) run(ctx context.Context, adopt bool) (machine.Exit, error) {
	if !adopt {
		m.isKnown()
		if err := m.console.Rotate(); err != nil {
			return machine.Exit{}, fmt.Errorf("beginning a new console file: %w", err)
		}
	}
	for {
		mark, _ := m.console.End()
		begin := time.Now()
		end, err := m.runOnce(ctx, adopt, mark, begin)
		if err != nil {
			return machine.Exit{}, err
		}
		if !end.reboots() {
			return end.exit(m.launch.BootID), nil
		}
		m.log.Info("the guest reboots", "halt", end.hello.Halt, "detail", end.vmm.Detail)
		adopt = false
		s := m.board.update(func(s *machine.Status) {
			s.Reboots++
			s.Phase, s.Reason, s.Guest = machine.PhaseStarting, "", wire.Hello{}
			s.ReadyMS, s.SystemMS = 0, 0
			s.Pause, s.Held = "", false
		})
		m.keepStatus(s) // a later monitor must not take the last boot for this one
	}
}

// runOnce keeps the VM until its VMM ends.
func (m *Monitor) runOnce(ctx context.Context, adopt bool, mark int64, begin time.Time) (ending, error) {
	mach, err := m.begin(ctx, adopt)
	if errors.Is(err, machine.ErrNotRunning) {
		return m.postMortem(ctx)
	}
	if err != nil {
		return ending{}, err
	}
	if !adopt {
		m.spawned(mach, time.Since(begin))
	} else if started := mach.Facts().Started; !started.IsZero() {
		begin = started // the guest's boot did not begin with this monitor
	}
	return m.keep(ctx, mach, mark, begin)
}

// postMortem finds out how a VMM ended while no monitor was there;
// machine.ErrNotRunning if nobody can tell.
func (m *Monitor) postMortem(ctx context.Context) (ending, error) {
	pm, ok := m.driver.(vmm.PostMortem)
	if !ok {
		return ending{}, machine.ErrNotRunning
	}
	exit, err := pm.LastExit(ctx, m.launch.Spec)
	if errors.Is(err, vmm.ErrRunning) {
		return ending{}, fmt.Errorf("%w: %w", errAlive, err)
	}
	if err != nil {
		return ending{}, errors.Join(machine.ErrNotRunning, err)
	}
	s, _ := m.board.get()
	return ending{vmm: exit, hello: s.Guest, ready: s.ReadyMS > 0, console: m.console.Tail(0)}, nil
}

// begin starts the VMM or takes it over.
func (m *Monitor) begin(ctx context.Context, adopt bool) (vmm.Machine, error) {
	if !adopt {
		if err := m.confineOnce(ctx); err != nil {
			return nil, err
		}
		mach, err := m.driver.Start(ctx, m.launch.Spec)
		if errors.Is(err, vmm.ErrRunning) {
			err = fmt.Errorf("%w: %w", errAlive, err)
		}
		return mach, err
	}
	// A confined process sees nothing of one that another confined.
	mach, err := m.driver.Connect(ctx, m.launch.Spec)
	if errors.Is(err, vmm.ErrNotRunning) {
		return nil, machine.ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAlive, err)
	}
	m.board.update(func(s *machine.Status) { takeUp(s, mach.Facts()) })
	if !mach.Facts().Paused { // else the driver is about to say why
		m.isKnown()
	}
	if err := m.confineOnce(ctx); err != nil {
		// The VMM runs, and its starter confined it: it must not be let go for this.
		m.log.Error("the monitor could not be confined", "err", err)
		m.board.update(func(s *machine.Status) {
			s.Reduced = append(s.Reduced, "Its monitor may open all files of this user: "+err.Error()+".")
		})
	}
	return mach, nil
}

// confineOnce confines this process for good, once the driver has done what it
// no longer can after that.
func (m *Monitor) confineOnce(ctx context.Context) error {
	confine := m.confine
	m.confine = nil
	if confine == nil {
		return nil
	}
	var programs []string
	var err error
	if s, ok := m.driver.(vmm.Stager); ok {
		programs, err = s.Stage(ctx, m.launch.Spec)
	}
	return errors.Join(err, confine(programs))
}

func (m *Monitor) spawned(mach vmm.Machine, took time.Duration) {
	m.board.update(func(s *machine.Status) {
		s.VMM, s.SpawnMS = mach.Facts(), ms(took)
	})
}

// keep serves one run of the VMM to its end.
func (m *Monitor) keep(ctx context.Context, mach vmm.Machine, mark int64, begin time.Time) (ending, error) {
	m.wasHeld(mach)
	m.mu.Lock()
	m.machine, m.hello = mach, wire.Hello{}
	killed := m.asked == machine.ExitKilled
	m.mu.Unlock()
	if err := sign(m.launch.Spec.Dir, mach.Facts().Process); err != nil { // whoever wants its end asks us
		m.log.Warn("writing down which process the VMM is failed", "err", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	if killed { // while it was being started
		go m.end(ctx, mach, machine.ExitKilled)
	}
	said := make(chan struct{}) // closed when the console has ended
	go func() {
		defer close(said)
		m.keepConsole(ctx, mach)
	}()
	var parts sync.WaitGroup
	parts.Go(func() { m.keepAgent(ctx, begin) })
	parts.Go(func() { m.keepAuth(ctx) })
	parts.Go(func() { m.keepEvents(mach) })
	parts.Go(func() { m.keepRoom(ctx) })
	parts.Go(func() { m.keepDeadline(ctx, mach, begin) })
	parts.Go(func() { m.keepNetwork(ctx, mach) })

	exit, err := m.awaitEnd(ctx, mach)
	if err != nil {
		cancel()
		return ending{}, fmt.Errorf("waiting for the VMM: %w", err)
	}
	m.mu.Lock()
	m.machine = nil
	m.mu.Unlock()
	ready, _ := m.board.get()
	select {
	case <-said: // with the guest's last words
	case <-time.After(lastWords):
	}
	_ = mach.Close()
	cancel()
	parts.Wait()
	<-said
	m.mu.Lock()
	defer m.mu.Unlock()
	return ending{
		vmm: exit, hello: m.hello, ready: ready.ReadyMS > 0, asked: m.asked, console: m.console.Tail(mark),
	}, nil
}

// keepConsole writes the console down until it ends.
func (m *Monitor) keepConsole(ctx context.Context, mach vmm.Machine) {
	rw, err := mach.Console(ctx)
	if err != nil {
		m.log.Error("opening the guest's console failed", "err", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { rw.Close() })
	defer stop()
	defer m.line.Connect(rw)()
	m.console.CopyFrom(rw)
}

// end kills the VMM for a reason; the first reason stays.
func (m *Monitor) end(ctx context.Context, mach vmm.Machine, reason string) {
	m.mu.Lock()
	if m.asked == "" || reason == machine.ExitKilled {
		m.asked = reason
	}
	m.mu.Unlock()
	if err := mach.Kill(ctx); err != nil && ctx.Err() == nil {
		m.log.Error("ending the VMM failed", "err", err)
	}
}

func (m *Monitor) dialAgent(ctx context.Context) (rwc, error) {
	m.mu.Lock()
	mach := m.machine
	m.mu.Unlock()
	if mach == nil {
		return nil, machine.ErrNotRunning
	}
	return mach.Agent(ctx)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

package monitor

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
)

// pausable is a monitor that runs, whose VM's disk has as much room as the test
// says.
type pausable struct {
	*Monitor
	guest *fake.Guest
	free  atomic.Int64
	end   func() // of the monitor; the VM lives on
}

func runPausable(t *testing.T, host *fake.Host, dir string, adopt bool) *pausable {
	t.Helper()
	l := machine.Launch{VMID: "1", BootID: "b", Spec: vmm.Spec{Name: "a", Dir: dir}}
	m, err := newMonitor(l, fake.New(host), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := &pausable{Monitor: m}
	p.free.Store(1 << 40)
	m.room = func(string) (int64, error) { return p.free.Load(), nil }
	ctx, cancel := context.WithCancel(context.Background())
	m.life = ctx
	over := make(chan error, 1)
	go func() { over <- m.live(ctx, adopt, nil) }()
	p.end = func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		m.console.Close()
		time.Sleep(time.Minute) // the agent's client gives its attempt up
	}
	synctest.Wait()
	p.guest = host.Guest(dir)
	return p
}

func (p *pausable) status() machine.Status {
	synctest.Wait()
	s, _ := p.board.get()
	return s
}

func (p *pausable) userPauses(t *testing.T) {
	t.Helper()
	if _, err := p.handlePause(t.Context(), api.Empty{}); err != nil {
		t.Error(err)
	}
}

func (p *pausable) userResumes(t *testing.T) {
	t.Helper()
	if _, err := p.handleResume(t.Context(), api.Empty{}); err != nil {
		t.Error(err)
	}
}

// finish ends the VM, and so its monitor.
func (p *pausable) finish() {
	p.guest.Crash("the test is over")
	synctest.Wait()
	p.end()
}

func TestPauseByAUser(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := runPausable(t, fake.NewHost(), dir, false)
		defer p.finish()
		p.userResumes(t) // it runs
		for range 2 {
			p.userPauses(t)
			if s := p.status(); s.Phase != machine.PhasePaused || !s.Held || s.Pause != vmm.PauseAsked || !strings.Contains(s.Reason, "banger resume") {
				t.Errorf("paused: %+v", s)
			}
		}
		time.Sleep(time.Minute)
		for range 2 {
			p.userResumes(t)
			if s := p.status(); s.Phase != machine.PhaseStarting || s.Held || s.Pause != "" || s.Reason != "" {
				t.Errorf("resumed: %+v", s)
			}
		}
	})
}

// What a user paused stays so when there is room on the disk again, under the
// next monitor too; what a user lets go waits for room.
func TestPauseByAUserOverAFullDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		p := runPausable(t, host, dir, false)
		p.free.Store(0)
		p.guest.Pause(vmm.PauseNoSpace)
		p.userPauses(t)
		if s := p.status(); !s.Held || s.Pause != vmm.PauseNoSpace || !strings.Contains(s.Reason, "full") || !strings.Contains(s.Reason, "a user") {
			t.Errorf("paused for both: %+v", s)
		}
		p.end()
		p = runPausable(t, host, dir, true)
		defer p.finish()
		time.Sleep(time.Minute) // there is room
		if s := p.status(); !s.Held || s.Phase != machine.PhasePaused {
			t.Fatalf("the next monitor: %+v", s)
		}
		p.free.Store(0)
		if _, err := p.handleResume(t.Context(), api.Empty{}); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "full") {
			t.Errorf("letting it go on without room: %v", err)
		}
		time.Sleep(time.Minute)
		if s := p.status(); s.Held || s.Phase != machine.PhasePaused || strings.Contains(s.Reason, "a user") {
			t.Errorf("without room: %+v", s)
		}
		p.free.Store(resumeRoom)
		time.Sleep(2 * time.Second)
		if s := p.status(); s.Phase == machine.PhasePaused {
			t.Errorf("with room: %+v", s)
		}
	})
}

// A pause that the last monitor wrote down and did not come to make is none.
func TestPauseThatWasNotMade(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		p := runPausable(t, host, dir, false)
		if err := p.hold(true); err != nil {
			t.Fatal(err)
		}
		p.end()
		p = runPausable(t, host, dir, true)
		defer p.finish()
		if s := p.status(); s.Held || s.Phase == machine.PhasePaused {
			t.Errorf("%+v", s)
		}
	})
}

func TestPauseThatTheVMMRefuses(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		p := runPausable(t, host, dir, false)
		defer p.finish()
		host.Hook = func(_ context.Context, at fake.Point, _ vmm.Spec) error {
			if at == fake.AtPause {
				return vmm.ErrUnsupported
			}
			return nil
		}
		if _, err := p.handlePause(t.Context(), api.Empty{}); fault.KindOf(err) != fault.Precondition {
			t.Error(err)
		}
		if s := p.status(); s.Held || s.Phase == machine.PhasePaused {
			t.Errorf("%+v", s)
		}
	})
}

// A VMM that has begun is not left half-way by who asked for it.
func TestPauseOfWhoLeaves(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		p := runPausable(t, host, dir, false)
		defer p.finish()
		for _, call := range []func(context.Context, api.Empty) (api.Empty, error){p.handlePause, p.handleResume} {
			ctx, leave := context.WithCancel(t.Context())
			host.Hook = func(ctx context.Context, _ fake.Point, _ vmm.Spec) error { leave(); return context.Cause(ctx) }
			if _, err := call(ctx, api.Empty{}); err != nil || ctx.Err() == nil {
				t.Error(err)
			}
			leave()
		}
		if s := p.status(); s.Held || s.Pause != "" {
			t.Errorf("%+v", s)
		}
		host.Hook = nil
	})
}

// A VMM that stops its guest only after it was given up goes on.
func TestPauseThatIsLate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		p := runPausable(t, host, dir, false)
		defer p.finish()
		late := false
		host.Hook = func(_ context.Context, at fake.Point, _ vmm.Spec) error {
			if at == fake.AtResume { // it comes now
				late = true
				p.guest.Pause(vmm.PauseAsked)
			}
			return nil
		}
		p.userResumes(t)
		host.Hook = nil
		if s := p.status(); !late || s.Held || s.Phase == machine.PhasePaused {
			t.Errorf("it was told to go on: %v, %+v", late, s)
		}
	})
}

// What a full disk did before a user paused the VM is told after that, and takes
// nothing from it.
func TestPauseBeforeOldNews(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := runPausable(t, fake.NewHost(), dir, false)
		defer p.finish()
		p.free.Store(0)
		p.guest.Pause(vmm.PauseNoSpace)
		p.userPauses(t)
		p.resumed() // there was room for a moment
		p.paused(vmm.PauseNoSpace)
		p.free.Store(resumeRoom)
		time.Sleep(time.Minute)
		if s := p.status(); !s.Held || s.Phase != machine.PhasePaused {
			t.Errorf("%+v", s)
		}
		p.userResumes(t)
		time.Sleep(time.Second)
		if s := p.status(); s.Held || s.Phase == machine.PhasePaused {
			t.Errorf("resumed: %+v", s)
		}
	})
}

// A guest that is to shut down must run for that.
func TestStopOfAPausedVM(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := runPausable(t, fake.NewHost(), dir, false)
		defer p.finish()
		p.userPauses(t)
		if _, err := p.handleStop(t.Context(), api.Empty{}); err != nil {
			t.Fatal(err)
		}
		if s := p.status(); s.Phase != machine.PhaseStopping || s.Held || s.Pause != "" {
			t.Errorf("%+v", s)
		}
	})
}

// What goes to the guest waits for the end of a pause, or of the VM.
func TestStreamsWaitForTheEndOfAPause(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	for _, end := range []func(*machine.Status){
		func(s *machine.Status) { s.Pause = "" },
		func(s *machine.Status) { s.Phase = machine.PhaseExited },
	} {
		m.board.update(func(s *machine.Status) { s.ReadyMS, s.Pause = 1, vmm.PauseAsked })
		waited := make(chan error, 1)
		go func() { waited <- m.awaitGuest(t.Context()) }()
		select {
		case err := <-waited:
			t.Errorf("it did not wait: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		s := m.board.update(end)
		if err := <-waited; (err == nil) != (s.Phase != machine.PhaseExited) {
			t.Errorf("%s: %v", s.Phase, err)
		}
	}
}

// Whatever users, the disk and the monitors do: what a user holds is paused, and
// what nobody holds runs while there is room.
func TestPausesInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(rapid.SampledFrom([]string{"pause", "resume", "fill", "free", "monitor"}), 1, 12).Draw(rt, "what happens")
		synctest.Test(t, func(t *testing.T) { pausesInOrder(t, dir, all) })
	})
}

func pausesInOrder(t *testing.T, dir string, all []string) {
	host := fake.NewHost()
	p := runPausable(t, host, dir, false)
	defer func() { p.finish() }()
	held := false
	for i, do := range all {
		switch do {
		case "pause":
			p.userPauses(t)
			held = true
		case "resume":
			if _, err := p.handleResume(t.Context(), api.Empty{}); err != nil && p.free.Load() >= resumeRoom {
				t.Errorf("%v: with room: %v", all[:i+1], err)
			}
			held = false
		case "fill":
			p.free.Store(0)
			p.guest.Pause(vmm.PauseNoSpace)
		case "free":
			p.free.Store(1 << 40)
		case "monitor":
			free := p.free.Load()
			p.end()
			p = runPausable(t, host, dir, true)
			p.free.Store(free)
		}
		time.Sleep(3 * time.Second)
		s, room := p.status(), p.free.Load() > 0
		if s.Held != held || held && s.Phase != machine.PhasePaused || !held && room && s.Phase == machine.PhasePaused {
			t.Fatalf("%v: held %v, room %v: %+v", all[:i+1], held, room, s)
		}
	}
}

package monitor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// resumeRoom is the room that the VM's disk needs before a VM that was paused
// by a full one goes on, in bytes.
const resumeRoom = 64 << 20

// heldFile says that a user holds the VM, for the next monitor: a VMM that was
// paused for something else besides cannot tell it. It is there only then.
const heldFile = "held.json"

type heldBoot struct {
	BootID string `json:"boot_id"`
}

// pauseTurn is how long a turn may take.
const pauseTurn = 8 * time.Second

// pauseSeen is how long a VMM that was told to stop its guest, or to let it go
// on, may take to report that it did.
const pauseSeen = 3 * time.Second

func (m *Monitor) handlePause(ctx context.Context, _ api.Empty) (api.Empty, error) {
	return api.Empty{}, m.inPauseTurn(ctx, m.pause)
}

func (m *Monitor) handleResume(ctx context.Context, _ api.Empty) (api.Empty, error) {
	return api.Empty{}, m.inPauseTurn(ctx, m.resume)
}

// inPauseTurn does something to the pause of the machine, alone.
func (m *Monitor) inPauseTurn(ctx context.Context, do func(context.Context, vmm.Machine) error) error {
	select {
	case m.pausing <- struct{}{}:
		defer func() { <-m.pausing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	m.mu.Lock()
	mach := m.machine
	m.mu.Unlock()
	if mach == nil {
		return fault.New(fault.Unavailable, "Try again in a moment.", "the VM's VMM is just being started")
	}
	// What has begun comes to its end though whoever asked leaves, as a daemon
	// does that is killed: of a VMM that was half told nobody knows what it does.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTurn)
	defer cancel()
	return do(ctx, mach)
}

// pause holds the VM until a user or a stop lets it go on, also where it is
// paused for something else already.
func (m *Monitor) pause(ctx context.Context, mach vmm.Machine) error {
	p, ok := mach.(vmm.Pauser)
	if !ok {
		return notPaused(vmm.ErrUnsupported)
	}
	if s, _ := m.board.get(); s.Held && s.Pause != "" {
		return nil
	}
	if err := m.hold(true); err != nil {
		return err
	}
	if err := p.Pause(ctx); err != nil {
		return errors.Join(notPaused(err), m.hold(false))
	}
	return m.awaitPause(ctx, func(s machine.Status) bool { return s.Pause != "" })
}

// notPaused is the error of a VMM that does not stop its guest.
func notPaused(err error) error {
	if errors.Is(err, vmm.ErrUnsupported) {
		return fault.New(fault.Precondition, "Stop it instead, or start it on another VMM: banger start --vmm, banger vmm ls.",
			"the VM cannot be paused: %w", err)
	}
	return fmt.Errorf("pausing the VM: %w", err)
}

// resume lets the VM go on, unless it is paused for something else besides that
// has not passed.
func (m *Monitor) resume(ctx context.Context, mach vmm.Machine) error {
	if err := m.hold(false); err != nil {
		return err
	}
	s, _ := m.board.get()
	if s.Pause == vmm.PauseNoSpace && !m.hasRoom() {
		return fault.New(fault.Precondition, "Make room: the VM goes on by itself then.", "the host's disk is full")
	}
	// One that seems to run is told, too: a pause may not have been reported yet.
	if err := mach.Resume(ctx); err != nil {
		return fmt.Errorf("letting the VM go on: %w", err)
	}
	return m.awaitPause(ctx, func(s machine.Status) bool { return s.Pause != vmm.PauseAsked })
}

// hold writes down whether a user holds the VM, and tells it. The caller has
// the turn.
func (m *Monitor) hold(on bool) error {
	if err := m.keepHeld(on); err != nil {
		return fmt.Errorf("writing down for the next monitor who paused the VM: %w", err)
	}
	m.wanted.Store(on)
	m.board.update(func(s *machine.Status) {
		s.Held = on
		sayPause(s)
	})
	return nil
}

func (m *Monitor) keepHeld(on bool) error {
	if on {
		return jsonfile.WriteStatus(m.launch.Spec.Dir, heldFile, heldBoot{m.launch.BootID})
	}
	err := os.Remove(filepath.Join(m.launch.Spec.Dir, heldFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// awaitPause waits until the VMM has reported what it did.
func (m *Monitor) awaitPause(ctx context.Context, done func(machine.Status) bool) error {
	bounded, cancel := context.WithTimeout(ctx, pauseSeen)
	defer cancel()
	s, err := m.board.wait(bounded, func(s machine.Status) bool { return done(s) || s.Phase == machine.PhaseExited })
	switch {
	case err != nil:
		return fault.New(fault.Unavailable, "Try again.", "the VMM does not report that it did so")
	case s.Phase == machine.PhaseExited:
		return fault.New(fault.Precondition, "See why with: banger inspect.", "the VM has ended")
	}
	return nil
}

// wasHeld takes over from the last monitor that a user holds the VM. Of a guest
// that runs it came to nothing.
func (m *Monitor) wasHeld(mach vmm.Machine) {
	if !mach.Facts().Paused {
		m.wanted.Store(false)
		if err := m.keepHeld(false); err != nil {
			m.log.Warn("what the last monitor wrote down of a pause stays", "err", err)
		}
		return
	}
	var was heldBoot
	if jsonfile.Read(m.launch.Spec.Dir, heldFile, &was) == nil && was.BootID == m.launch.BootID {
		m.wanted.Store(true)
		m.board.update(func(s *machine.Status) { s.Held = true })
	}
}

// paused tells that the VMM has stopped its guest, and why.
func (m *Monitor) paused(reason string) {
	m.board.update(func(s *machine.Status) {
		s.Phase, s.Pause = machine.PhasePaused, reason
		s.Held = s.Held || reason == vmm.PauseAsked
		sayPause(s)
	})
	m.isKnown()
}

// resumed tells that the guest goes on. That may be what was reported before a
// user paused it, and takes nothing from that.
func (m *Monitor) resumed() {
	m.board.update(func(s *machine.Status) {
		s.Pause, s.Held = "", m.wanted.Load()
		if s.Phase == machine.PhasePaused {
			s.Phase, s.Reason = m.runningPhase(*s), ""
		}
	})
}

// sayPause gives the status of a paused VM its reason.
func sayPause(s *machine.Status) {
	if s.Phase != machine.PhasePaused {
		return
	}
	const again = "to have it go on: banger resume"
	switch {
	case s.Held && s.Pause == vmm.PauseNoSpace:
		s.Reason = "a user paused it; " + again + "; besides, the host's disk is full"
	case s.Held:
		s.Reason = "a user paused it; " + again
	case s.Pause == vmm.PauseNoSpace:
		s.Reason = "the host's disk is full; make room and the VM goes on by itself, with nothing lost"
	case s.Pause == vmm.PauseAsked: // by who is resuming it
		s.Reason = "it is about to go on; if it does not: banger resume"
	default:
		s.Reason = "a disk of the VM failed; look at the host's kernel log, then stop or kill it"
	}
}

// keepRoom has the VM go on after a full disk as soon as there is room again,
// unless a user holds it.
func (m *Monitor) keepRoom(ctx context.Context) {
	full := func(s machine.Status) bool { return s.Pause == vmm.PauseNoSpace && !s.Held }
	for {
		if _, err := m.board.wait(ctx, full); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		if !m.hasRoom() {
			continue
		}
		err := m.inPauseTurn(ctx, func(ctx context.Context, mach vmm.Machine) error {
			if s, _ := m.board.get(); !full(s) {
				return nil
			}
			return mach.Resume(ctx)
		})
		if err != nil && ctx.Err() == nil {
			m.log.Warn("the VM did not go on", "err", err)
		}
	}
}

func (m *Monitor) hasRoom() bool {
	free, err := m.room(m.launch.Spec.Dir)
	return err == nil && free >= resumeRoom
}

// unheld lets a VM go on that a user holds and that is to shut down.
func (m *Monitor) unheld(ctx context.Context) error {
	if s, _ := m.board.get(); !s.Held {
		return nil
	}
	return m.inPauseTurn(ctx, m.resume)
}

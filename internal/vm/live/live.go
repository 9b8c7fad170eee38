// Package live follows the machines that run, each to its end: what their
// monitors say of them is known here at once, and what is new is handed on.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/machine"
)

// Keeper takes what is seen of machines. A machine's calls come one by one.
type Keeper interface {
	// Told is the status that was last given to Tell for this boot, perhaps by
	// an earlier daemon.
	Told(id, bootID string) (machine.Status, bool)
	// Tell tells what is new, and keeps the status for Told.
	Tell(id string, s machine.Status, all []News)
	// End keeps how a boot ended, exit being the monitor's own word if any. The
	// machine counts as gone once it returns.
	End(id, bootID string, exit *machine.Exit)
	// Gone is told then.
	Gone(id string)
}

// Set is the machines that run, by their VMs' IDs.
type Set struct {
	ctx     context.Context
	runtime machine.Runtime
	keeper  Keeper
	log     *slog.Logger
	dir     func(id string) string

	watchers sync.WaitGroup

	mu      sync.Mutex // guards what follows
	live    map[string]*one
	arrived chan struct{} // closed and replaced with every machine that is taken in
}

// one is a machine that runs, as its monitor last told.
type one struct {
	status  machine.Status // only its watcher changes it
	silent  bool           // the last call of its monitor failed
	told    machine.Status // what was told of it; its watcher's own
	changed chan struct{}  // closed and replaced with every change
	gone    chan struct{}  // closed when its end is kept
}

// NewSet makes a Set without machines, whose watching ends with ctx.
func NewSet(ctx context.Context, r machine.Runtime, k Keeper, log *slog.Logger, dir func(id string) string) *Set {
	return &Set{ctx: ctx, runtime: r, keeper: k, log: log, dir: dir, live: make(map[string]*one), arrived: make(chan struct{})}
}

// Wait returns when nothing is watched any more, after the end of the Set's
// context.
func (s *Set) Wait() { s.watchers.Wait() }

// Follow takes a machine in and follows it to its end, unless that boot is
// followed already.
func (s *Set) Follow(id string, st machine.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.live[id]; l != nil && l.status.BootID == st.BootID || s.ctx.Err() != nil {
		return
	}
	l := &one{status: st, changed: make(chan struct{}), gone: make(chan struct{})}
	s.live[id] = l
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.watchers.Go(func() {
		var ok bool
		if l.told, ok = s.keeper.Told(id, st.BootID); !ok { // it has only begun
			l.told = machine.Status{MonitorPID: st.MonitorPID, Phase: machine.PhaseStarting, Reboots: st.Reboots}
		}
		s.update(id, l, st)
		s.watch(id, l, st)
	})
}

// Status returns a copy of what is known of a machine, nil if none runs.
func (s *Set) Status(id string) *machine.Status {
	if l := s.get(id); l != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		st := l.status
		return &st
	}
	return nil
}

// InTouch reports whether a machine's monitor has answered last, and is listened
// to: one that dies is noticed at once.
func (s *Set) InTouch(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[id]
	return l != nil && !l.silent
}

// Arrival is closed when the next machine is taken in.
func (s *Set) Arrival() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

// Await returns once the machine is as wanted, or false when it is gone.
func (s *Set) Await(ctx context.Context, id string, wanted func(machine.Status) bool) (bool, error) {
	for {
		s.mu.Lock()
		l := s.live[id]
		if l == nil {
			s.mu.Unlock()
			return false, nil
		}
		st, changed := l.status, l.changed
		s.mu.Unlock()
		if wanted(st) {
			return true, nil
		}
		select {
		case <-changed:
		case <-l.gone:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// AwaitEnd returns once a machine that was told to end is gone.
func (s *Set) AwaitEnd(ctx context.Context, id string) error {
	l := s.get(id)
	if l == nil {
		return nil
	}
	select {
	case <-l.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Set) get(id string) *one {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[id]
}

// watch long-polls one machine until it is gone.
func (s *Set) watch(id string, l *one, st machine.Status) {
	after, pause := st.Version, 50*time.Millisecond
	for s.ctx.Err() == nil {
		next, err := s.runtime.Watch(s.ctx, s.dir(id), after)
		switch {
		case s.ctx.Err() != nil:
			return
		case errors.Is(err, machine.ErrNotRunning),
			err == nil && (next.Phase == machine.PhaseExited || next.BootID != st.BootID):
			s.leave(id, l)
			s.keeper.End(id, st.BootID, next.Exit)
			close(l.gone)
			s.keeper.Gone(id)
			return
		case err != nil:
			s.log.Warn("watching the monitor failed, trying again", "vm", id, "err", err)
			s.fellSilent(l)
			select {
			case <-s.ctx.Done():
			case <-time.After(pause):
			}
			pause, after = min(2*pause, 5*time.Second), 0
			continue
		}
		pause, after = 50*time.Millisecond, next.Version
		s.update(id, l, next)
	}
}

func (s *Set) fellSilent(l *one) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.silent = true
}

// leave takes a machine out of the set, unless a newer boot has taken its place.
func (s *Set) leave(id string, l *one) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[id] == l {
		delete(s.live, id)
	}
}

// update takes over a newer status, and tells what is new in it.
func (s *Set) update(id string, l *one, next machine.Status) {
	s.mu.Lock()
	l.status, l.silent = next, false
	close(l.changed)
	l.changed = make(chan struct{})
	s.mu.Unlock()
	all := whatIsNew(l.told, next)
	if len(all) > 0 || next.ReadyMS != l.told.ReadyMS {
		s.keeper.Tell(id, next, all)
	}
	l.told = next
}

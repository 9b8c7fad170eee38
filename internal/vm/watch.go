package vm

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
)

// watch takes a machine into the set of the living and follows it to its end,
// unless that boot is followed already.
func (m *Manager) watch(id string, s machine.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.live[id]; l != nil && l.status.BootID == s.BootID || m.ctx.Err() != nil {
		return
	}
	l := &liveVM{status: s, changed: make(chan struct{}), gone: make(chan struct{})}
	m.live[id] = l
	m.watchers.Go(func() {
		l.told = m.lastTold(id, s)
		m.changed(id, l, s)
		m.follow(id, l, s)
	})
}

// lastTold is what was told of a boot before: by an earlier daemon, or nothing
// but that it began.
func (m *Manager) lastTold(id string, s machine.Status) machine.Status {
	r, err := m.Store.VMByID(context.WithoutCancel(m.ctx), id)
	if err == nil && r.Boot != nil && r.Boot.ID == s.BootID && r.Boot.Status != nil {
		return *r.Boot.Status
	}
	return machine.Status{BootID: s.BootID, MonitorPID: s.MonitorPID, Phase: machine.PhaseStarting, Reboots: s.Reboots}
}

// follow long-polls one machine until it is gone.
func (m *Manager) follow(id string, l *liveVM, s machine.Status) {
	log := m.Log.With("vm", id)
	after, pause := s.Version, 50*time.Millisecond
	for m.ctx.Err() == nil {
		next, err := m.Runtime.Watch(m.ctx, m.dir(id), after)
		switch {
		case m.ctx.Err() != nil:
			return
		case errors.Is(err, machine.ErrNotRunning),
			err == nil && (next.Phase == machine.PhaseExited || next.BootID != s.BootID):
			m.leave(id, l)
			m.storeEnd(id, s.BootID, next.Exit)
			close(l.gone)
			m.afterEnd(id)
			return
		case err != nil:
			log.Warn("watching the monitor failed, trying again", "err", err)
			select {
			case <-m.ctx.Done():
			case <-time.After(pause):
			}
			pause, after = min(2*pause, 5*time.Second), 0
			continue
		}
		pause, after = 50*time.Millisecond, next.Version
		m.changed(id, l, next)
	}
}

// storeEnd stores the end of a boot, however long the store cannot: until then
// the VM would be taken for one that runs.
func (m *Manager) storeEnd(id, bootID string, exit *machine.Exit) {
	_ = retry(m.ctx, func() error { return m.ended(m.ctx, id, bootID, exit) }, func(err error) {
		m.Log.Error("storing the end of a boot failed, trying again", "vm", id, "err", err)
	}) // it ends early only with the Manager; the next one finds the end out
}

// leave takes a machine out of the set of the living, unless a newer boot has
// taken its place.
func (m *Manager) leave(id string, l *liveVM) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[id] == l {
		delete(m.live, id)
	}
}

// changed takes over a newer status, tells what is new in it, and keeps that for
// the next daemon and for after the boot's end.
func (m *Manager) changed(id string, l *liveVM, next machine.Status) {
	m.mu.Lock()
	l.status = next
	close(l.changed)
	l.changed = make(chan struct{})
	m.mu.Unlock()
	all := whatIsNew(l.told, next)
	for _, n := range all {
		m.publish(id, n.kind, n.message)
	}
	known := len(all) == 0 && next.ReadyMS == l.told.ReadyMS
	l.told = next
	if known {
		return
	}
	ctx := context.WithoutCancel(m.ctx) // or the next daemon tells it again
	if _, err := m.changeBoot(ctx, id, next.BootID, func(b *Boot) bool { b.Status = &next; return true }); err != nil {
		m.Log.Error("storing a VM's status failed", "vm", id, "err", err)
	}
}

// changeBoot changes what is stored of a boot, if it is still the VM's last one:
// whoever saw it may be late. It reports whether change did so.
func (m *Manager) changeBoot(ctx context.Context, id, bootID string, change func(*Boot) bool) (changed bool, err error) {
	err = m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		changed = r.Boot != nil && r.Boot.ID == bootID && change(r.Boot)
		return changed
	})
	return changed && err == nil, ignoreMissing(err)
}

// ended stores how a boot ended, if it is still the VM's last one. told is the
// monitor's own word, nil without one.
func (m *Manager) ended(ctx context.Context, id, bootID string, told *machine.Exit) error {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil || r.Boot == nil || r.Boot.ID != bootID || r.Boot.Exit != nil {
		return ignoreMissing(err)
	}
	var exit machine.Exit
	if told != nil {
		exit = *told
	} else if exit, err = m.Runtime.LastExit(m.dir(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Log.Warn("how a boot ended cannot be read", "vm", id, "err", err)
	}
	if exit.BootID != bootID {
		exit = machine.Exit{
			BootID: bootID, Reason: machine.ExitCrashed, At: m.cfg.Now(),
			Detail: "neither its VMM nor its monitor is there any more",
		}
	}
	first, err := m.changeBoot(ctx, id, bootID, func(b *Boot) bool {
		if b.Exit != nil {
			return false
		}
		b.Exit = &exit
		return true
	})
	if first {
		m.publish(id, "vm.stopped", ExitSentence(exit))
	}
	return err
}

// removeUnneeded is for a start that failed: perhaps nothing ran, whose end a
// watcher could have seen.
func (m *Manager) removeUnneeded(id string) {
	if m.ctx.Err() == nil {
		m.watchers.Go(func() { m.afterEnd(id) })
	}
}

// afterEnd deletes a VM that was made to be thrown away, unless it runs again.
func (m *Manager) afterEnd(id string) {
	select {
	case <-m.recovered:
	case <-m.ctx.Done():
	}
	var err error
	for m.ctx.Err() == nil {
		var r Record
		if r, err = m.Store.VMByID(m.ctx, id); err != nil || !r.Spec.AutoRemove || r.mayRun() {
			break
		}
		_, err = m.ops.Begin(m.ctx, deleteRequest(r, false))
		var busy *fault.Error
		if !errors.As(err, &busy) || busy.Kind != fault.Busy || busy.Operation == "" {
			break
		}
		// The stop that ended it, say, holds the claim for a moment longer.
		if _, err = m.ops.Wait(m.ctx, busy.Operation); err != nil {
			break
		}
	}
	if err != nil && m.ctx.Err() == nil && fault.KindOf(err) != fault.NotFound {
		m.Log.Warn("removing a stopped VM did not begin", "vm", id, "err", err)
	}
}

func (m *Manager) publish(id, kind, message string) {
	name := ""
	if r, err := m.Store.VMByID(m.ctx, id); err == nil {
		name = r.Spec.Name
	}
	m.Events.Publish(event.Event{Time: m.cfg.Now(), Type: kind, Target: target(id), Name: name, Message: message})
}

// waitGone waits until a machine that was told to end has been seen to.
func (m *Manager) waitGone(ctx context.Context, id string) error {
	m.mu.Lock()
	l := m.live[id]
	m.mu.Unlock()
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

// phase reports a phase without numbers.
func phase(report operation.Report, text string) { report(operation.Progress{Phase: text}) }

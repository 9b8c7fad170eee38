package vm

import (
	"context"
	"errors"
	"io/fs"

	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/live"
)

// keeper is the Manager as what follows the machines sees it.
type keeper struct{ m *Manager }

func (k keeper) Told(id, bootID string) (machine.Status, bool) {
	r, err := k.m.Store.VMByID(context.WithoutCancel(k.m.ctx), id)
	if err != nil || r.Boot == nil || r.Boot.ID != bootID || r.Boot.Status == nil {
		return machine.Status{}, false
	}
	return *r.Boot.Status, true
}

// Tell keeps the status for after the boot's end too.
func (k keeper) Tell(id string, s machine.Status, all []live.News) {
	for _, n := range all {
		k.m.publish(id, n.Type, n.Message)
	}
	ctx := context.WithoutCancel(k.m.ctx) // or the next daemon tells it again
	if _, err := k.m.changeBoot(ctx, id, s.BootID, func(b *Boot) bool { b.Status = &s; return true }); err != nil {
		k.m.Log.Error("storing a VM's status failed", "vm", id, "err", err)
	}
}

// End stores the end however long the store cannot: until then the VM would be
// taken for one that runs.
func (k keeper) End(id, bootID string, exit *machine.Exit) {
	_ = retry(k.m.ctx, func() error { return k.m.ended(k.m.ctx, id, bootID, exit) }, func(err error) {
		k.m.Log.Error("storing the end of a boot failed, trying again", "vm", id, "err", err)
	}) // it ends early only with the Manager; the next one finds the end out
}

func (k keeper) Gone(id string) { k.m.afterEnd(id) }

// takeUp follows a machine that runs. The boot that its record has may be another
// one, or have ended: of a database that came back from a copy.
func (m *Manager) takeUp(ctx context.Context, r Record, s machine.Status) error {
	if s.Phase != machine.PhaseExited && (!r.MayRun() || r.Boot.ID != s.BootID) {
		boot := Boot{ID: s.BootID, StartedAt: s.VMM.Started.UTC(), Status: &s, Host: m.cfg.Host}
		if err := m.update(ctx, r.ID, func(r *Record) { r.begin(boot, true) }); err != nil {
			return err
		}
		m.publish(r.ID, "vm.found", "it runs, which its record did not know")
	}
	m.live.Follow(r.ID, s)
	return nil
}

// changeBoot changes what is stored of a boot, if it is still the VM's last one:
// whoever saw it may be late. It reports whether change did so.
func (m *Manager) changeBoot(ctx context.Context, id, bootID string, change func(*Boot) bool) (changed bool, err error) {
	err = m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		changed = r.Boot != nil && r.Boot.ID == bootID && change(r.Boot)
		return changed
	})
	return changed && err == nil, fault.Except(err, fault.NotFound)
}

// ended stores how a boot ended, if it is still the VM's last one. told is the
// monitor's own word, nil without one.
func (m *Manager) ended(ctx context.Context, id, bootID string, told *machine.Exit) error {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil || r.Boot == nil || r.Boot.ID != bootID || r.Boot.Exit != nil {
		return fault.Except(err, fault.NotFound)
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
	if told == nil {
		exit = m.explain(*r.Boot, exit)
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

// afterEnd deletes a VM that was made to be thrown away, unless it runs again,
// and tells of any.
func (m *Manager) afterEnd(id string) {
	select {
	case <-m.recovered:
	case <-m.ctx.Done():
	}
	if m.Ended != nil && m.ctx.Err() == nil {
		m.Ended(id)
	}
	var err error
	for m.ctx.Err() == nil {
		var r Record
		if r, err = m.Store.VMByID(m.ctx, id); err != nil || !r.Spec.AutoRemove || r.MayRun() {
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

// phase reports a phase without numbers.
func phase(report operation.Report, text string) { report(operation.Progress{Phase: text}) }

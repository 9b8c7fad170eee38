package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vmm"
)

// pauseParams are all that a pause or its end needs.
type pauseParams struct {
	ID   string `json:"id"`
	Held bool   `json:"held"` // a user had paused it before
}

// Pause begins to stop a running VM's processors, until Resume or Stop. A VM
// that a user has paused already makes it succeed at once; one that is paused
// for something else does not go on by itself any more.
func (m *Manager) Pause(ctx context.Context, ref, key string) (operation.Record, error) {
	return m.changePause(ctx, ref, KindPause, key)
}

// Resume begins to let a paused VM go on; one that runs makes it succeed at
// once.
func (m *Manager) Resume(ctx context.Context, ref, key string) (operation.Record, error) {
	return m.changePause(ctx, ref, KindResume, key)
}

func (m *Manager) changePause(ctx context.Context, ref, kind, key string) (operation.Record, error) {
	return m.begin(ctx, ref, kind, key, func(r Record) (operation.Request, error) {
		v := m.view(r)
		if v.Live == nil {
			return operation.Request{}, unconnected(v)
		}
		return request(kind, r, pauseParams{ID: r.ID, Held: v.Live.Held}), nil
	})
}

func (m *Manager) planPause(op operation.Record) (operation.Plan, error) {
	return pausePlan(op, func(p pauseParams) operation.Step {
		return operation.Step{
			Name: "pause it",
			Do:   func(ctx context.Context, _ operation.Report) error { return m.hold(ctx, p.ID) },
			Undo: func(ctx context.Context) error {
				if p.Held {
					return nil
				}
				err := m.Pauser.Resume(ctx, m.dir(p.ID))
				// It has ended, cannot be paused at all, or only its full disk keeps it now.
				if errors.Is(err, machine.ErrNotRunning) || fault.KindOf(err) == fault.Precondition {
					return nil
				}
				return err
			},
		}
	})
}

func (m *Manager) planResume(op operation.Record) (operation.Plan, error) {
	return pausePlan(op, func(p pauseParams) operation.Step {
		return operation.Step{
			Name: "let it go on",
			Do:   func(ctx context.Context, _ operation.Report) error { return m.letGo(ctx, p.ID) },
		}
	})
}

func pausePlan(op operation.Record, step func(pauseParams) operation.Step) (operation.Plan, error) {
	var p pauseParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return operation.Plan{
		Steps:  []operation.Step{step(p)},
		Result: func() any { return map[string]string{"id": p.ID} },
	}, nil
}

func (m *Manager) hold(ctx context.Context, id string) error {
	if err := m.Pauser.Pause(ctx, m.dir(id)); err != nil {
		return overtaken(err)
	}
	m.awaitPause(ctx, id, func(s machine.Status) bool { return s.Held && s.Phase == machine.PhasePaused })
	return nil
}

func (m *Manager) letGo(ctx context.Context, id string) error {
	if err := m.Pauser.Resume(ctx, m.dir(id)); err != nil {
		return overtaken(err)
	}
	m.awaitPause(ctx, id, func(s machine.Status) bool { return !s.Held && s.Pause != vmm.PauseAsked })
	return nil
}

// overtaken is the error of a VM that ended before it was paused or resumed.
func overtaken(err error) error {
	if errors.Is(err, machine.ErrNotRunning) {
		return fault.New(fault.Precondition, "See why with: banger inspect.", "the VM has just ended")
	}
	return err
}

// pauseTold is how long a monitor may take to tell what it was just told.
const pauseTold = 5 * time.Second

// awaitPause waits until whoever lists VMs sees it.
func (m *Manager) awaitPause(ctx context.Context, id string, seen func(machine.Status) bool) {
	bounded, cancel := context.WithTimeout(ctx, pauseTold)
	defer cancel()
	if _, err := m.live.Await(bounded, id, seen); err != nil {
		m.Log.Warn("a monitor did not tell of a pause in time", "vm", id, "err", err)
	}
}

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// restartParams are all that a restart needs.
type restartParams struct {
	ID      string        `json:"id"`
	BootID  string        `json:"boot_id"`
	Timeout time.Duration `json:"timeout"`
	Force   bool          `json:"force,omitempty"`
}

// Restart begins to stop a VM as Stop does and to start it as Boot does, under
// one claim: nobody comes in between, not even what removes VMs that are made to
// be thrown away. One that does not run is started. force starts it whether this
// host can carry it or not.
func (m *Manager) Restart(ctx context.Context, ref string, timeout time.Duration, force bool, key string) (operation.Record, error) {
	if timeout <= 0 {
		timeout = m.cfg.StopTimeout
	}
	return m.begin(ctx, ref, KindRestart, key, func(r Record) (operation.Request, error) {
		if err := whole(r); err != nil {
			return operation.Request{}, err
		}
		if err := m.Admits(ctx, r, force); err != nil {
			return operation.Request{}, err
		}
		p := restartParams{ID: r.ID, BootID: newID(8), Timeout: timeout, Force: force}
		return request(KindRestart, r, p), m.Startable(ctx, r)
	})
}

// planRestart has what was interrupted go on in its step: a stop of a VM that
// has stopped, and a start of one that was started, change nothing.
func (m *Manager) planRestart(op operation.Record) (operation.Plan, error) {
	var p restartParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return operation.Plan{
		Steps: append(m.stopSteps(endParams{ID: p.ID, Timeout: p.Timeout}),
			m.againSteps(startParams{ID: p.ID, BootID: p.BootID, Force: p.Force})...),
		Result: func() any { return map[string]string{"id": p.ID} },
		Fail:   func(context.Context, error) { m.removeUnneeded(p.ID) },
	}, nil
}

// againSteps are the steps of a start in an operation that has ended the VM, to
// have it run again.
func (m *Manager) againSteps(p startParams) []operation.Step {
	steps := m.startSteps(p)
	for i, s := range steps {
		steps[i].Do = func(ctx context.Context, r operation.Report) error {
			err := s.Do(ctx, r)
			if err != nil && ctx.Err() == nil {
				m.leftDown(ctx, p, err)
			}
			return err
		}
	}
	return steps
}

// leftDown has a VM's restart policy go on where such a start failed: if it came
// to no boot, there is no end that would be decided on.
func (m *Manager) leftDown(ctx context.Context, p startParams, why error) {
	err := m.Store.ChangeVM(ctx, p.ID, func(r *Record) bool {
		switch {
		case r.Halted, r.Boot == nil, r.MayRun(), r.Boot.ID == p.BootID, r.Spec.Restart == spec.RestartNo:
			return false
		case r.Comeback != nil && !r.Comeback.Next.IsZero(): // it goes on already
			return false
		}
		r.Comeback = &Comeback{Boot: r.Boot.ID, Next: m.cfg.Now().UTC(), Why: fault.From(why).Message}
		return true
	})
	if fault.Except(err, fault.NotFound) != nil {
		m.Log.Error("a VM that did not start again cannot be left to its restart policy", "vm", p.ID, "err", err)
	}
	m.removeUnneeded(p.ID)
}

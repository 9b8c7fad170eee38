package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/hook"
)

// endParams are all that a stop, kill or delete needs.
type endParams struct {
	ID      string        `json:"id"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Force   bool          `json:"force,omitempty"`
}

// Stop begins a graceful stop; after the timeout (0: the default) the VM is
// killed. A VM that does not run makes it succeed at once.
func (m *Manager) Stop(ctx context.Context, ref string, timeout time.Duration, key string) (operation.Record, error) {
	if timeout <= 0 {
		timeout = m.cfg.StopTimeout
	}
	return m.begin(ctx, ref, KindStop, key, func(r Record) (operation.Request, error) {
		return request(KindStop, r, endParams{ID: r.ID, Timeout: timeout}), nil
	})
}

// Kill ends the VM at once, whatever operation holds it.
func (m *Manager) Kill(ctx context.Context, ref, key string) (operation.Record, error) {
	return m.begin(ctx, ref, KindKill, key, func(r Record) (operation.Request, error) {
		req := request(KindKill, r, endParams{ID: r.ID})
		req.Preempt = true
		return req, nil
	})
}

// Delete begins the removal of a VM and all that belongs to it.
func (m *Manager) Delete(ctx context.Context, ref string, force bool, key string) (operation.Record, error) {
	return m.begin(ctx, ref, KindDelete, key, func(r Record) (operation.Request, error) {
		if m.liveStatus(r.ID) != nil && !force {
			return operation.Request{}, fault.New(fault.Precondition,
				"Stop it first, or use: banger rm -f "+r.Spec.Name, "the VM %s is running", r.Spec.Name)
		}
		return deleteRequest(r, force), nil
	})
}

func deleteRequest(r Record, force bool) operation.Request {
	req := request(KindDelete, r, endParams{ID: r.ID, Force: force})
	req.Preempt = force
	return req
}

func request(kind string, r Record, params any) operation.Request {
	return operation.Request{Kind: kind, Target: target(r.ID), Name: r.Spec.Name, Params: params}
}

// begin begins an operation on the VM that a user names. What a repeated
// request has begun is known by its key, and may have taken the VM away.
func (m *Manager) begin(ctx context.Context, ref, kind, key string, what func(Record) (operation.Request, error)) (operation.Record, error) {
	return m.once(ctx, kind, key, func() (operation.Record, error) {
		r, err := m.Store.VM(ctx, ref)
		if err != nil {
			return operation.Record{}, err
		}
		req, err := what(r)
		if err != nil {
			return operation.Record{}, err
		}
		req.Key = key
		return m.ops.Begin(ctx, req)
	})
}

// once calls begin unless a request with the same key has begun something.
func (m *Manager) once(ctx context.Context, kind, key string, begin func() (operation.Record, error)) (operation.Record, error) {
	known, err := m.ops.Known(ctx, kind, key)
	if err != nil {
		return operation.Record{}, err
	}
	if known != nil {
		return *known, nil
	}
	return begin()
}

func readEndParams(op operation.Record) (endParams, error) {
	var p endParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return p, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return p, nil
}

func (m *Manager) planStop(op operation.Record) (operation.Plan, error) {
	p, err := readEndParams(op)
	steps := m.stopSteps(p)
	steps[0] = m.halting(p.ID, steps[0])
	return operation.Plan{Steps: steps}, err
}

// stopSteps bring a VM from running to stopped, whether or not it is to stay so.
func (m *Manager) stopSteps(p endParams) []operation.Step {
	return []operation.Step{
		{Name: "stop the guest", Do: func(ctx context.Context, r operation.Report) error { return m.stop(ctx, p, r) }},
		{Name: "release the network", Do: func(ctx context.Context, _ operation.Report) error { return m.detach(ctx, p.ID) }},
	}
}

func (m *Manager) planKill(op operation.Record) (operation.Plan, error) {
	p, err := readEndParams(op)
	return operation.Plan{Steps: []operation.Step{
		m.halting(p.ID, operation.Step{
			Name: "end the VMM",
			Do:   func(ctx context.Context, r operation.Report) error { return m.kill(ctx, p.ID, r) },
		}),
		{Name: "release the network", Do: func(ctx context.Context, _ operation.Report) error { return m.detach(ctx, p.ID) }},
	}}, err
}

// halting makes a step that ends a VM one after which that stays ended.
func (m *Manager) halting(id string, s operation.Step) operation.Step {
	end := s.Do
	s.Do = func(ctx context.Context, r operation.Report) error {
		if err := m.halt(ctx, id); err != nil {
			return err
		}
		return end(ctx, r)
	}
	s.Undo = func(ctx context.Context) error { return m.unhalt(ctx, id) }
	return s
}

// halt records that a user wants the VM to stay stopped until the next start that
// somebody asks for, before it is: whatever ends it meanwhile.
func (m *Manager) halt(ctx context.Context, id string) error {
	return fault.Except(m.update(ctx, id, func(r *Record) { r.Halted, r.Comeback = true, nil }), fault.NotFound)
}

// unhalt takes that back of a VM that could not be stopped.
func (m *Manager) unhalt(ctx context.Context, id string) error {
	return fault.Except(m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		running := r.MayRun()
		r.Halted = r.Halted && !running
		return running
	}), fault.NotFound)
}

// planDelete ends the process, then its devices, then its files, then the record.
func (m *Manager) planDelete(op operation.Record) (operation.Plan, error) {
	p, err := readEndParams(op)
	return operation.Plan{Steps: slices.Concat([]operation.Step{
		{Name: "end the VMM", Do: func(ctx context.Context, r operation.Report) error { return m.endForDelete(ctx, p, r) }},
		{Name: "release the network", Do: func(ctx context.Context, _ operation.Report) error { return m.detach(ctx, p.ID) }},
	}, m.hooks.Steps(hook.Delete, p.ID, nil), []operation.Step{
		{Name: "remove the files", Final: true, Do: func(_ context.Context, r operation.Report) error {
			phase(r, "removing the files")
			return m.removeDir(p.ID)
		}},
		{Name: "forget it", Do: func(ctx context.Context, _ operation.Report) error { return m.forget(ctx, p.ID) }},
	})}, err
}

func (m *Manager) forget(ctx context.Context, id string) error {
	if err := m.Store.DeleteVM(ctx, id); err != nil {
		return err
	}
	m.tellSSH(ctx)
	return nil
}

// stop asks the guest, and again where the asking fails: only one that has had
// all of its time is killed, for a kill loses what it had not written yet.
func (m *Manager) stop(ctx context.Context, p endParams, report operation.Report) error {
	phase(report, "shutting the guest down")
	bounded, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	err := retry(bounded, func() error {
		_, err := m.Runtime.Stop(bounded, m.dir(p.ID))
		if errors.Is(err, machine.ErrNotRunning) {
			return nil
		}
		return err
	}, func(err error) {
		m.Log.Warn("asking a guest to stop failed, trying again", "vm", p.ID, "err", err)
	})
	switch {
	case err == nil:
		return m.settle(ctx, p.ID)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	m.Log.Warn("the guest did not stop in time, ending its VMM", "vm", p.ID, "after", p.Timeout, "err", err)
	m.publish(p.ID, "vm.stop_timeout", fmt.Sprintf("the guest did not stop within %s; its VMM was ended", p.Timeout))
	return m.kill(ctx, p.ID, report)
}

func (m *Manager) kill(ctx context.Context, id string, report operation.Report) error {
	phase(report, "ending the VMM")
	if err := m.Runtime.Kill(ctx, m.dir(id)); err != nil && !errors.Is(err, machine.ErrNotRunning) {
		return err
	}
	// Whoever gives up now must not find it running.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), killSeen)
	defer cancel()
	return m.settle(bounded, id)
}

// killSeen bounds the time until the end of a killed machine is known.
const killSeen = 10 * time.Second

func (m *Manager) endForDelete(ctx context.Context, p endParams, report operation.Report) error {
	if !p.Force {
		s, err := m.Runtime.Status(ctx, m.dir(p.ID))
		if err == nil && s.Phase != machine.PhaseExited {
			return fault.New(fault.Precondition, "Stop it first, or use: banger rm -f.", "the VM is running")
		}
	}
	return m.kill(ctx, p.ID, report)
}

// settle waits until the end of the machine is seen and stored.
func (m *Manager) settle(ctx context.Context, id string) error {
	if err := m.live.AwaitEnd(ctx, id); err != nil {
		return err
	}
	r, err := m.Store.VMByID(ctx, id)
	if err != nil || r.Boot == nil {
		return fault.Except(err, fault.NotFound)
	}
	return m.ended(ctx, id, r.Boot.ID, nil)
}

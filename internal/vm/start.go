package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// startParams are all that a start needs.
type startParams struct {
	ID     string `json:"id"`
	BootID string `json:"boot_id"`
	// VMM is another one to start on from now on, "" for the one that it has;
	// Was is that.
	VMM string        `json:"vmm,omitempty"`
	Was choose.Choice `json:"was,omitzero"`
	// Unasked: no user began it, so what is counted of those starts goes on.
	Unasked bool `json:"unasked,omitempty"`
	Force   bool `json:"force,omitempty"`
	// Brought is where what the request brought was put, by capability.
	Brought map[string]string `json:"brought,omitempty"`
}

// Start is how a VM is started.
type Start struct {
	VMM   string // to move it to, "" for the one that it has
	Force bool   // whether this host can carry it or not
}

// Boot begins a start; a VM that runs already makes it succeed at once. It
// stays on its VMM unless another one is named.
func (m *Manager) Boot(ctx context.Context, ref string, how Start, key string, given ...Given) (operation.Record, error) {
	return m.boot(ctx, ref, how, key, false, given)
}

// BootUnasked begins a start that is not a user's, who is not to find that it
// was: what is counted of such starts goes on.
func (m *Manager) BootUnasked(ctx context.Context, id, key string) (operation.Record, error) {
	return m.boot(ctx, id, Start{}, key, true, nil)
}

func (m *Manager) boot(ctx context.Context, ref string, how Start, key string, unasked bool, given []Given) (operation.Record, error) {
	return m.once(ctx, KindStart, key, func() (operation.Record, error) {
		r, err := m.Store.VM(ctx, ref)
		if err != nil {
			return operation.Record{}, err
		}
		if unasked && r.Boot != nil {
			how.Force = r.Boot.Forced // as its user had it
		}
		if err := m.canBoot(ctx, r, how); err != nil {
			return operation.Record{}, err
		}
		if unasked && r.Halted {
			return operation.Record{}, halted(r)
		}
		p := startParams{ID: r.ID, BootID: newID(8), VMM: how.VMM, Unasked: unasked, Force: how.Force}
		if how.VMM != "" {
			p.Was = r.Choice
			p.Was.VMM = r.Spec.VMM // of a VM from before choices were kept
		}
		return m.beginGiven(ctx, given, r.ID, func(brought map[string]string) operation.Request {
			p.Brought = brought
			req := request(KindStart, r, p)
			req.Key = key
			return req
		})
	})
}

// canBoot refuses what will not start.
func (m *Manager) canBoot(ctx context.Context, r Record, how Start) error {
	if err := whole(r); err != nil {
		return err
	}
	if !r.MayRun() { // one that runs has what it needs
		if err := errors.Join(m.preflight(ctx), m.Admits(ctx, r, how.Force)); err != nil {
			return err
		}
	}
	return m.checkVMM(ctx, r, how.VMM)
}

// whole refuses a VM whose files are not all there.
func whole(r Record) error {
	if r.Made {
		return nil
	}
	return fault.New(fault.Precondition,
		"See it with: banger op ls, or delete it with: banger rm "+r.Spec.Name, "the VM %s is not whole yet", r.Spec.Name)
}

func (m *Manager) planStart(op operation.Record) (operation.Plan, error) {
	var p startParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	var steps []operation.Step
	if p.Unasked {
		steps = append(steps, operation.Step{
			Name: "see that no user has stopped it",
			Do:   func(ctx context.Context, _ operation.Report) error { return m.unhalted(ctx, p.ID) },
		})
	}
	if p.VMM != "" {
		steps = append(steps, operation.Step{
			Name: "choose the VMM",
			Do:   func(ctx context.Context, r operation.Report) error { return m.changeVMM(ctx, p, r) },
			Undo: func(ctx context.Context) error { return m.bindVMM(ctx, p.ID, p.Was) },
		})
	}
	return operation.Plan{
		Steps:  append(steps, m.startSteps(p)...),
		Result: func() any { return map[string]string{"id": p.ID} },
		Fail: func(ctx context.Context, _ error) {
			m.givenUp(ctx, p.ID, p.Brought)
			m.removeUnneeded(p.ID)
		},
	}, nil
}

// unhalted refuses a VM that a user has stopped before the start had its claim;
// from then on no stop comes in between.
func (m *Manager) unhalted(ctx context.Context, id string) error {
	r, err := m.Store.VMByID(ctx, id)
	if err == nil && r.Halted {
		return halted(r)
	}
	return err
}

func halted(r Record) error {
	return fault.New(fault.Precondition, "Start it with: banger start "+r.Spec.Name, "a user has stopped %s", r.Spec.Name)
}

// startSteps bring a VM from stopped to an agent that answers.
func (m *Manager) startSteps(p startParams) []operation.Step {
	return slices.Concat([]operation.Step{m.admitStep(p)}, m.hooks.Steps(hook.PreStart, p.ID, p.Brought), []operation.Step{
		{
			Name: "connect the network",
			Do: func(ctx context.Context, _ operation.Report) error {
				_, err := m.attach(ctx, p.ID)
				return err
			},
			Undo: func(ctx context.Context) error { return m.detach(ctx, p.ID) },
		},
		{
			Name: "start the VMM",
			Do:   func(ctx context.Context, r operation.Report) error { return m.launch(ctx, p, r) },
			Undo: func(ctx context.Context) error { return m.unlaunch(ctx, p) },
		},
		{
			Name: "wait for the guest",
			Do:   func(ctx context.Context, r operation.Report) error { return m.awaitReady(ctx, p, r) },
		},
	}, m.hooks.Steps(hook.Ready, p.ID, nil))
}

// launch starts the boot, or joins the one that runs.
func (m *Manager) launch(ctx context.Context, p startParams, report operation.Report) error {
	dir := m.dir(p.ID)
	r, err := m.Store.VMByID(ctx, p.ID)
	if err != nil {
		return err
	}
	switch s, err := m.outlast(ctx, dir, report); {
	case err == nil && s.Phase != machine.PhaseExited:
		return m.takeUp(ctx, r, s)
	case err != nil && !errors.Is(err, machine.ErrNotRunning):
		return err
	}
	phase(report, "starting the VMM")
	// The end of the boot before must be stored before the next one takes its place.
	if err := m.settle(ctx, p.ID); err != nil {
		return err
	}
	if err := m.growWork(ctx, p.ID); err != nil {
		return err
	}
	l, err := m.launchSpec(ctx, p)
	if err != nil {
		return err
	}
	if err := m.portsFree(ctx, p.ID, l.Forwards); err != nil {
		return err
	}
	boot := Boot{ID: p.BootID, StartedAt: m.cfg.Now().UTC(), Host: m.cfg.Host, Forced: p.Force}
	if err := m.update(ctx, p.ID, func(r *Record) { r.begin(boot, p.Unasked) }); err != nil {
		return err
	}
	m.settled(p.ID)
	s, err := m.Runtime.Launch(ctx, dir, l)
	if err != nil {
		// Without this a failed start would look like a running VM.
		return errors.Join(err, m.ended(context.WithoutCancel(ctx), p.ID, p.BootID, nil))
	}
	m.live.Follow(p.ID, s)
	return nil
}

// outlast returns the status of a machine once it is not, or no longer,
// shutting down: it has ended then, or it runs again after a reboot.
func (m *Manager) outlast(ctx context.Context, dir string, report operation.Report) (machine.Status, error) {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.StopTimeout)
	defer cancel()
	s, err := m.Runtime.Status(bounded, dir)
	for err == nil && s.Phase == machine.PhaseStopping {
		phase(report, "waiting for the guest to shut down")
		s, err = m.Runtime.Watch(bounded, dir, s.Version)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fault.New(fault.Deadline, "Try again later, or end it with: banger kill.",
			"the guest is shutting down, and has not ended within %s", m.cfg.StopTimeout)
	}
	return s, err
}

// unlaunch ends the boot that this start began, and no other.
func (m *Manager) unlaunch(ctx context.Context, p startParams) error {
	s, err := m.Runtime.Status(ctx, m.dir(p.ID))
	if errors.Is(err, machine.ErrNotRunning) {
		return m.ended(ctx, p.ID, p.BootID, nil)
	}
	if err == nil && s.BootID != p.BootID {
		return nil
	}
	if err := m.Runtime.Kill(ctx, m.dir(p.ID)); err != nil {
		return err
	}
	if err := m.live.AwaitEnd(ctx, p.ID); err != nil {
		return err
	}
	return m.ended(ctx, p.ID, p.BootID, nil)
}

// awaitReady waits until the agent has its identity: exec works then.
func (m *Manager) awaitReady(ctx context.Context, p startParams, report operation.Report) error {
	phase(report, "booting the guest")
	runs, err := m.live.Await(ctx, p.ID, func(s machine.Status) bool {
		if s.ReadyMS == 0 && s.Phase == machine.PhasePaused {
			phase(report, s.Reason)
		}
		return s.ReadyMS > 0 && s.Phase != machine.PhaseStopping // which may be what was known before a reboot
	})
	if runs || err != nil {
		return err
	}
	return m.bootFailed(ctx, p)
}

// bootFailed says how a boot ended before the guest was ready, with the last
// words of its console.
func (m *Manager) bootFailed(ctx context.Context, p startParams) error {
	r, err := m.Store.VMByID(ctx, p.ID)
	if err != nil {
		return err
	}
	exit := machine.Exit{Reason: machine.ExitCrashed}
	if r.Boot != nil && r.Boot.Exit != nil {
		exit = *r.Boot.Exit
	}
	text := "the guest did not start: " + ExitSentence(exit)
	if exit.Console != "" {
		text += "; its console ends with:\n" + exit.Console
	}
	kind := fault.Unavailable
	if exit.Reason == machine.ExitBootTimeout {
		kind = fault.Deadline
	}
	return fault.New(kind, "Try again, or look at console.log in the VM's directory.", "%s", text)
}

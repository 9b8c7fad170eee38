package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
)

// lookAgain is how often a VM that is to come up is looked for, whatever is
// heard of it.
const lookAgain = 250 * time.Millisecond

// Connect returns a running VM, for a stream to its monitor. One that is being
// made or started, and is named by its ID, is waited for as long as wait. One
// that a user has paused is refused: nothing would answer.
func (m *Manager) Connect(ctx context.Context, ref string, wait time.Duration) (View, error) {
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for {
		arrival := m.live.Arrival()
		v, err := m.Inspect(ctx, ref)
		if err == nil && v.Live != nil && v.Live.Held {
			return View{}, fault.New(fault.Precondition, "Let it go on with: banger resume "+v.Spec.Name, "the VM %s is paused", v.Spec.Name)
		}
		if err == nil && v.Live != nil {
			return m.inTouch(ctx, v)
		}
		if err == nil {
			err = unconnected(v)
		}
		holder, held := m.Claims.Holder(target(ref))
		if wait <= 0 || !held || !slices.Contains([]string{KindCreate, KindStart, KindRestart}, holder.Kind) {
			return View{}, err
		}
		select {
		case <-arrival:
		case <-time.After(lookAgain):
		case <-limit.C:
			late := fault.New(fault.Unavailable, "See how far it is with: banger op show "+holder.Operation, "the VM is not up yet")
			late.Operation = holder.Operation
			return View{}, late
		case <-ctx.Done():
			return View{}, context.Cause(ctx)
		}
	}
}

// Reconnect is Connect for a stream that there was: it outlasts a pause.
func (m *Manager) Reconnect(ctx context.Context, ref string) (View, error) {
	v, err := m.Inspect(ctx, ref)
	if err == nil && v.Live == nil {
		err = unconnected(v)
	}
	if err != nil {
		return View{}, err
	}
	return m.inTouch(ctx, v)
}

// inTouch makes sure that a machine has a monitor, if that is not known.
func (m *Manager) inTouch(ctx context.Context, v View) (View, error) {
	if m.live.InTouch(v.ID) {
		return v, nil // if it dies at this moment, the client asks again
	}
	// A monitor that was killed comes back here before the client needs it.
	_, err := m.Runtime.Status(ctx, v.Dir)
	if errors.Is(err, machine.ErrNotRunning) {
		return View{}, fault.New(fault.Precondition,
			"See why with: banger inspect "+v.Spec.Name, "the VM %s has just ended", v.Spec.Name)
	}
	return v, err
}

// unconnected says why there is no machine to connect to, and whether there may
// be one in a moment: a client that had a stream there then tries again.
func unconnected(v View) error {
	kind, hint := fault.Precondition, "Start it with: banger start "+v.Spec.Name
	text := fmt.Sprintf("the VM %s is %s", v.Spec.Name, v.State)
	if v.MayRun() {
		kind, hint = fault.Unavailable, "Try again in a moment."
		if v.State == Running {
			text += ", but " + v.Reason
		}
	}
	if v.Operation != "" {
		hint = "See how far it is with: banger op show " + v.Operation
	}
	return fault.New(kind, hint, "%s", text)
}

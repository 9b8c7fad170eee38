package vm

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
)

// askSlack is how much longer than its guest a monitor may take to answer.
const askSlack = time.Second

// Ping asks a running VM's agent for a sign of life, and returns how long that
// took it.
func (m *Manager) Ping(ctx context.Context, ref string, wait time.Duration) (time.Duration, error) {
	return askVM(ctx, m, ref, wait, m.Vitals.Ping)
}

// Health says how a running VM's guest is.
func (m *Manager) Health(ctx context.Context, ref string, wait time.Duration) (wire.Health, error) {
	return askVM(ctx, m, ref, wait, m.Vitals.Health)
}

// askVM asks something of a VM that runs.
func askVM[T any](ctx context.Context, m *Manager, ref string, wait time.Duration, call func(context.Context, string, time.Duration) (T, error)) (answer T, err error) {
	v, err := m.Inspect(ctx, ref)
	if err != nil {
		return answer, err
	}
	if v.Live == nil {
		return answer, unconnected(v)
	}
	return askMachine(ctx, v, wait, call)
}

// askMachine asks something of a machine, whose monitor may hang as well.
func askMachine[T any](ctx context.Context, v View, wait time.Duration, call func(context.Context, string, time.Duration) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, wait+askSlack)
	defer cancel()
	answer, err := call(bounded, v.Dir, wait)
	switch {
	case err == nil:
	case errors.Is(err, machine.ErrNotRunning):
		err = fault.New(fault.Precondition, "See why with: banger inspect "+v.Spec.Name, "the VM %s has just ended", v.Spec.Name)
	case ctx.Err() == nil && bounded.Err() != nil:
		err = fault.New(fault.Deadline, "End it with: banger kill "+v.Spec.Name, "the monitor of %s did not answer within %s", v.Spec.Name, wait+askSlack)
	}
	return answer, err
}

package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/hook"
)

// Given puts down what a request brings for a capability of the VM, where that
// will find it; takeBack is called if no operation comes of the request.
type Given func(ctx context.Context, vmID string) (takeBack func(), err error)

// beginGiven begins an operation on a VM that the request brings things for.
func (m *Manager) beginGiven(ctx context.Context, given []Given, id string, req operation.Request) (rec operation.Record, err error) {
	unused := true
	for _, put := range given {
		takeBack, err := put(ctx, id)
		if err != nil {
			return operation.Record{}, err
		}
		defer func() {
			if unused {
				takeBack()
			}
		}()
	}
	rec, err = m.ops.Begin(ctx, req)
	// A repeated request has begun one already, which is about another ID.
	unused = err != nil || rec.Target != req.Target
	return rec, err
}

// hooked is the Manager as the hooks of capabilities see it.
type hooked struct{ m *Manager }

// HookedVM implements hook.Owner.
func (h hooked) HookedVM(ctx context.Context, id string) (hook.VM, error) {
	vm := hook.VM{ID: id, Dir: h.m.dir(id)}
	r, err := h.m.Store.VMByID(ctx, id)
	if err != nil {
		return vm, ignoreMissing(err)
	}
	vm.Name, vm.User = r.Spec.Name, r.User
	if live := h.m.liveStatus(id); live != nil {
		vm.Machine = *live
	}
	return vm, nil
}

// HookEnded implements hook.Owner: what failed is told, and stays to be seen
// until it succeeds.
func (h hooked) HookEnded(ctx context.Context, id, step string, hookErr error) {
	sentence := ""
	if hookErr != nil {
		sentence = fmt.Sprintf("The step %q failed: %s.", step, fault.From(hookErr).Message)
		h.m.Log.Warn("a capability could not be given", "vm", id, "step", step, "err", hookErr)
	}
	err := h.m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		if r.Lacks[step] == sentence {
			return false
		}
		if r.Lacks == nil {
			r.Lacks = map[string]string{}
		}
		if r.Lacks[step] = sentence; sentence == "" {
			delete(r.Lacks, step)
		}
		return true
	})
	if ignoreMissing(err) != nil {
		h.m.Log.Error("storing what a capability could not give failed", "vm", id, "step", step, "err", err)
	}
	if hookErr != nil {
		h.m.publish(id, "vm.hook_failed", sentence)
	}
}

// givenUp tells the hooks of a create or a start that did not succeed, and those
// at Delete of a VM whose making was taken back: there was no step for it.
func (m *Manager) givenUp(ctx context.Context, id string) {
	vm := hook.VM{ID: id, Dir: m.dir(id)}
	err := m.hooks.Run(ctx, hook.GivenUp, vm)
	if _, missing := m.Store.VMByID(ctx, id); fault.KindOf(missing) == fault.NotFound {
		err = errors.Join(err, m.hooks.Run(ctx, hook.Delete, vm))
	}
	if err != nil {
		m.Log.Warn("what was brought for a VM is not all gone", "vm", id, "err", err)
	}
}

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/hook"
)

// Given is what a request brings for a capability of the VM.
type Given struct {
	For string // the capability's name
	// Put puts it down and says where, which is stored with the operation and
	// seen by people; takeBack is called if no operation comes of the request.
	Put func(ctx context.Context, vmID string) (where string, takeBack func(), err error)
}

// beginGiven begins an operation on a VM that the request brings things for.
// with makes the request of where that was put, by capability.
func (m *Manager) beginGiven(ctx context.Context, given []Given, id string, with func(brought map[string]string) operation.Request) (rec operation.Record, err error) {
	unused, brought := true, map[string]string{}
	for _, g := range given {
		where, takeBack, err := g.Put(ctx, id)
		if err != nil {
			return operation.Record{}, err
		}
		brought[g.For] = where
		defer func() {
			if unused {
				takeBack()
			}
		}()
	}
	req := with(brought)
	rec, err = m.ops.Begin(ctx, req)
	// The same request may have begun one beside this, with parameters of its own.
	params, broken := json.Marshal(req.Params)
	unused = err != nil || broken != nil || !bytes.Equal(rec.Params, params)
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
func (m *Manager) givenUp(ctx context.Context, id string, brought map[string]string) {
	vm := hook.VM{ID: id, Dir: m.dir(id)}
	err := m.hooks.Run(ctx, hook.GivenUp, vm, brought)
	if _, missing := m.Store.VMByID(ctx, id); fault.KindOf(missing) == fault.NotFound {
		err = errors.Join(err, m.hooks.Run(ctx, hook.Delete, vm, brought))
	}
	if err != nil {
		m.Log.Warn("what was brought for a VM is not all gone", "vm", id, "err", err)
	}
}

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
		return vm, fault.Except(err, fault.NotFound)
	}
	vm.Name, vm.User = r.Spec.Name, r.User
	if live := h.m.liveStatus(id); live != nil {
		vm.Machine = *live
	}
	return vm, nil
}

// HookEnded implements hook.Owner: what failed is told, and stays to be seen
// until it is mended.
func (h hooked) HookEnded(ctx context.Context, id string, end hook.End) {
	lack := Lack{Step: end.Step}
	if end.Err != nil {
		lack.Sentence = fmt.Sprintf("The step %q failed: %s.", end.Step, fault.From(end.Err).Message)
		h.m.Log.Warn("a capability could not be given", "vm", id, "step", end.Step, "err", end.Err)
	}
	err := h.m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		if end.Err != nil {
			return r.lack(end.Capability, lack)
		}
		// What is brought and taken is in the place of all that was not before.
		return (end.Brought || r.Lacking[end.Capability].Step == end.Step) && r.Mend(end.Capability)
	})
	if fault.Except(err, fault.NotFound) != nil {
		h.m.Log.Error("storing what a capability could not give failed", "vm", id, "step", end.Step, "err", err)
	}
	if end.Err != nil {
		h.m.publish(id, "vm.hook_failed", lack.Sentence)
	}
}

// Lack is what a capability could not give a VM.
type Lack struct {
	Step     string `json:"step"` // that failed
	Sentence string `json:"sentence"`
}

// lack records that, and reports whether it is news.
func (r *Record) lack(capability string, l Lack) bool {
	if r.Lacking[capability] == l {
		return false
	}
	if r.Lacking == nil {
		r.Lacking = map[string]Lack{}
	}
	r.Lacking[capability] = l
	return true
}

// Mend records that a capability gave the VM what it had not, and reports whether
// that is news.
func (r *Record) Mend(capability string) bool {
	_, lacked := r.Lacking[capability]
	delete(r.Lacking, capability)
	return lacked
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

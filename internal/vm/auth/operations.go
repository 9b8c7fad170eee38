package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
)

// The kinds of the operations.
const (
	KindPush   = "vm.auth.push"
	KindRemove = "vm.auth.remove"
)

// params are all that a change needs; what is pushed lies elsewhere.
type params struct {
	ID   string `json:"id"`
	Sent string `json:"sent,omitempty"` // of a push: the name of the file that lies there
	Removal
}

// Push begins to give a VM what a user asks for: at once where it runs, else from
// its next start on.
func (k *Keeper) Push(ctx context.Context, ref string, s Sent, key string) (operation.Record, error) {
	return k.begin(ctx, ref, KindPush, key, false, func(r vm.Record, has kept) (p params, takeBack func(), err error) {
		s.Asked = true
		if _, err := has.with(s); err != nil {
			return p, nil, err
		}
		name, takeBack, err := k.stage(ctx, r.ID, s)
		return params{ID: r.ID, Sent: name}, takeBack, err
	})
}

// Remove begins to take something away, until a user asks for it again. One that
// the guest did not hear of can be repeated; one of all needs not read what is kept.
func (k *Keeper) Remove(ctx context.Context, ref string, what Removal, key string) (operation.Record, error) {
	return k.begin(ctx, ref, KindRemove, key, what.all(), func(r vm.Record, has kept) (params, func(), error) {
		for _, p := range what.Paths {
			if !slices.Contains(has.Gone, p) && !slices.ContainsFunc(has.Files, func(f file) bool { return f.Path == p }) {
				return params{}, nil, fault.New(fault.NotFound, "See what it has with: banger auth ls "+r.Spec.Name, "the VM %s was not given %s", r.Spec.Name, p)
			}
		}
		return params{ID: r.ID, Removal: what}, func() {}, nil
	})
}

// begin begins an operation that prepare finds possible. anew: it needs nothing
// of what is kept.
func (k *Keeper) begin(ctx context.Context, ref, kind, key string, anew bool, prepare func(vm.Record, kept) (p params, takeBack func(), err error)) (operation.Record, error) {
	if known, err := k.ops.Known(ctx, kind, key); err != nil {
		return operation.Record{}, err
	} else if known != nil {
		return *known, nil
	}
	r, err := k.vms.VM(ctx, ref)
	if err != nil {
		return operation.Record{}, err
	}
	if !r.Made {
		return operation.Record{}, fault.New(fault.Precondition, "See it with: banger op ls", "the VM %s is not whole yet", r.Spec.Name)
	}
	has, err := k.current(r.ID, anew)
	if err != nil {
		return operation.Record{}, err
	}
	p, takeBack, err := prepare(r, has)
	if err != nil {
		return operation.Record{}, err
	}
	rec, err := k.ops.Begin(ctx, operation.Request{Kind: kind, Target: target(r.ID), Name: r.Spec.Name, Key: key, Params: p})
	// The same request may have begun one beside this, which has what it sent.
	var begun params
	if err != nil || json.Unmarshal(rec.Params, &begun) != nil || begun.Sent != p.Sent {
		takeBack()
	}
	return rec, err
}

// Planners are the plans of this package's operations. What is kept stays where
// the guest cannot be told: its next boot has it.
func (k *Keeper) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{
		KindPush: k.planner("keep what was sent", func(ctx context.Context, p params) error { return k.take(ctx, p.ID, p.Sent) }),
		KindRemove: k.planner("forget it", func(ctx context.Context, p params) error {
			_, err := k.change(ctx, p.ID, p.all(), func(has kept) (kept, error) { return has.without(p.Removal), nil })
			return err
		}),
	}
}

func (k *Keeper) planner(name string, change func(context.Context, params) error) operation.Planner {
	return func(op operation.Record) (operation.Plan, error) {
		var p params
		if err := json.Unmarshal(op.Params, &p); err != nil {
			return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
		}
		return operation.Plan{
			Steps: []operation.Step{
				{Name: name, Keep: true, Do: func(ctx context.Context, _ operation.Report) error { return change(ctx, p) }},
				{Name: "tell the guest", Do: func(ctx context.Context, _ operation.Report) error {
					has, err := k.read(p.ID)
					if err != nil || has == nil {
						return err
					}
					if err := k.tell(ctx, p.ID, *has); err != nil {
						return err
					}
					return k.vms.ChangeVM(ctx, p.ID, func(r *vm.Record) bool { return r.Mend(k.Name()) })
				}},
			},
			Result: func() any { return map[string]string{"id": p.ID} },
			Fail: func(ctx context.Context, _ error) {
				if err := k.drop(ctx, p.Sent); err != nil {
					k.log.Warn("what was sent and nobody takes could not be removed", "vm", p.ID, "err", err)
				}
			},
		}, nil
	}
}

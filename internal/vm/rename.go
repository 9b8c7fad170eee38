package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// renameParams are all that a rename needs.
type renameParams struct {
	ID   string `json:"id"`
	Was  string `json:"was"`
	Want string `json:"want"`
}

// Rename begins to give a VM another name, running or not: what leads to it
// (SSH's files) has that at once, what it was started with (the guest's host
// name, the names of its processes) from its next start on.
func (m *Manager) Rename(ctx context.Context, ref, name, key string) (operation.Record, error) {
	return m.begin(ctx, ref, KindRename, key, func(r Record) (operation.Request, error) {
		if err := spec.CheckName(name); err != nil {
			return operation.Request{}, err
		}
		return request(KindRename, r, renameParams{ID: r.ID, Was: r.Spec.Name, Want: name}), m.nameFree(ctx, r.ID, name)
	})
}

// nameFree refuses a name that another VM has; whoever takes it after this is
// refused by the store.
func (m *Manager) nameFree(ctx context.Context, id, name string) error {
	other, err := m.Store.VM(ctx, name)
	if err == nil && other.Spec.Name == name && other.ID != id {
		return fault.New(fault.Exists, "Choose another name, or see it with: banger inspect "+name, "there is a VM %q already", name)
	}
	if k := fault.KindOf(err); err != nil && k != fault.NotFound && k != fault.Invalid { // the beginning of IDs
		return err
	}
	return nil
}

func (m *Manager) planRename(op operation.Record) (operation.Plan, error) {
	var p renameParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return operation.Plan{
		Steps: []operation.Step{
			{
				Name: "record it",
				Do:   func(ctx context.Context, _ operation.Report) error { return m.recordName(ctx, p.ID, p.Was, p.Want) },
				Undo: func(ctx context.Context) error {
					err := m.recordName(ctx, p.ID, p.Want, p.Was)
					if fault.KindOf(err) == fault.Busy { // it has a third name, which another gave it
						return nil
					}
					return err
				},
			},
			{
				Name: "tell SSH",
				Do:   func(ctx context.Context, _ operation.Report) error { m.tellSSH(ctx); return nil },
				Undo: func(ctx context.Context) error { m.tellSSH(ctx); return nil },
			},
		},
		Result: func() any { return map[string]string{"id": p.ID, "name": p.Want} },
	}, nil
}

// recordName makes a VM that is called was be called want, once.
func (m *Manager) recordName(ctx context.Context, id, was, want string) error {
	var renamed bool
	var err error
	changeErr := m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		err, renamed = nil, false
		switch r.Spec.Name {
		case want:
			return false
		case was:
			r.Spec.Name, renamed = want, true
			return true
		}
		err = fault.New(fault.Busy, "Try again.", "%s has just been renamed", r.Spec.Name)
		return false
	})
	if err := errors.Join(err, changeErr); err != nil {
		return err
	}
	if renamed {
		m.publish(id, "vm.renamed", "it was called "+was)
	}
	return nil
}

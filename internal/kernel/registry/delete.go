package registry

import (
	"context"

	"github.com/banger-vm/banger/internal/lease"
	"github.com/banger-vm/banger/internal/operation"
)

// Delete begins to remove a kernel. What a repeated request has begun is known
// by its key, and may have taken the kernel away.
func (r *Registry) Delete(ctx context.Context, ref, key string, ops Operations) (operation.Record, error) {
	if known, err := ops.Known(ctx, KindDelete, key); known != nil || err != nil {
		return deref(known), err
	}
	k, err := r.Find(ctx, ref)
	if err != nil {
		return operation.Record{}, err
	}
	p := params{ID: k.ID, Name: k.Name}
	if err := lease.Unused(ctx, p.thing(), r.cfg.Users); err != nil {
		return operation.Record{}, err
	}
	return ops.Begin(ctx, operation.Request{Kind: KindDelete, Target: target(k.Name), Name: k.Name, Key: key, Params: p})
}

func (p params) thing() lease.Thing { return lease.Thing{ID: p.ID, What: "kernel", Name: p.Name} }

func (r *Registry) planDelete(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	return operation.Plan{Steps: []operation.Step{
		{
			Name: "forget it", Final: true, // nobody finds it from here on
			Do: func(ctx context.Context, _ operation.Report) error { return r.forget(ctx, p) },
		},
		{
			Name: "remove the files",
			Do:   func(context.Context, operation.Report) error { return r.library.Remove(p.ID) },
		},
	}}, err
}

// forget removes the row of a kernel that nobody uses, after its files are
// where nobody finds them: a default one may be made again at once.
func (r *Registry) forget(ctx context.Context, p params) error {
	return r.leases.Delete(ctx, p.thing(), r.cfg.Users, func() error {
		if err := r.library.Hide(p.ID); err != nil {
			return err
		}
		return r.store.DeleteKernel(ctx, p.ID)
	})
}

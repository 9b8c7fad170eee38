package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
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
	if err := r.unused(ctx, p); err != nil {
		return operation.Record{}, err
	}
	return ops.Begin(ctx, operation.Request{Kind: KindDelete, Target: target(k.Name), Name: k.Name, Key: key, Params: p})
}

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
	stop, holders := r.leases.StartDeleting(p.ID)
	if len(holders) > 0 {
		return inUse(p.Name, holders)
	}
	defer stop()
	if err := r.unused(ctx, p); err != nil {
		return err
	}
	if err := r.library.Hide(p.ID); err != nil {
		return err
	}
	return r.store.DeleteKernel(ctx, p.ID)
}

// unused refuses a kernel that VMs stand on.
func (r *Registry) unused(ctx context.Context, p params) error {
	users, err := r.cfg.Users(ctx, p.ID)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return inUse(p.Name, users)
	}
	return nil
}

func inUse(name string, users []string) error {
	slices.Sort(users)
	shown := users
	if len(shown) > 10 {
		shown = append(slices.Clone(users[:10]), "…")
	}
	return fault.New(fault.Precondition, "Remove them first: banger rm "+strings.Join(shown, " "),
		"the kernel %s is in use by %s", name, strings.Join(shown, ", "))
}

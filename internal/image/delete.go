package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// Delete begins to remove an image. What a repeated request has begun is known
// by its key, and may have taken the image away.
func (r *Registry) Delete(ctx context.Context, ref, key string, ops Operations) (operation.Record, error) {
	if known, err := ops.Known(ctx, KindDelete, key); err != nil {
		return operation.Record{}, err
	} else if known != nil {
		return *known, nil
	}
	req, err := r.deleteRequest(ctx, ref, key)
	if err != nil {
		return operation.Record{}, err
	}
	return ops.Begin(ctx, req)
}

func (r *Registry) deleteRequest(ctx context.Context, ref, key string) (operation.Request, error) {
	img, err := r.Find(ctx, ref)
	if err != nil {
		return operation.Request{}, err
	}
	p := params{ID: img.ID, Name: img.Name}
	if err := r.unused(ctx, p); err != nil {
		return operation.Request{}, err
	}
	return operation.Request{Kind: KindDelete, Target: target(img.Name), Name: img.Name, Key: key, Params: p}, nil
}

func (r *Registry) planDelete(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	if err != nil {
		return operation.Plan{}, err
	}
	return operation.Plan{Steps: []operation.Step{
		{
			Name: "forget it", Final: true, // nobody finds it from here on
			Do: func(ctx context.Context, _ operation.Report) error { return r.forget(ctx, p) },
		},
		{
			Name: "remove the files",
			Do:   func(context.Context, operation.Report) error { return r.removeFiles(p.ID) },
		},
	}}, nil
}

// forget removes the row of an image that nobody uses. From then on nobody
// finds it, so nobody can begin to.
func (r *Registry) forget(ctx context.Context, p params) error {
	stop, holders := r.leases.StartDeleting(p.ID)
	if len(holders) > 0 {
		return inUse(p.Name, holders)
	}
	defer stop()
	if err := r.unused(ctx, p); err != nil {
		return err
	}
	return r.store.DeleteImage(ctx, p.ID)
}

// unused refuses an image that VMs stand on.
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
		"the image %s is in use by %s", name, strings.Join(shown, ", "))
}

// removeFiles removes a whole image. It is moved away first: a half-removed
// one is never taken for whole.
func (r *Registry) removeFiles(id string) error {
	gone := r.goneDir(id)
	err := os.RemoveAll(gone)
	if err == nil {
		err = os.Rename(r.dir(id), gone)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

package image

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/banger-vm/banger/internal/lease"
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
	if err := lease.Unused(ctx, p.thing(), r.cfg.Users); err != nil {
		return operation.Request{}, err
	}
	return operation.Request{Kind: KindDelete, Target: target(img.Name), Name: img.Name, Key: key, Params: p}, nil
}

func (p params) thing() lease.Thing { return lease.Thing{ID: p.ID, What: "image", Name: p.Name} }

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
	return r.leases.Delete(ctx, p.thing(), r.cfg.Users, func() error { return r.store.DeleteImage(ctx, p.ID) })
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

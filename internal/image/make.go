package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// The kinds of operations on images.
const (
	KindBootstrap = "image.bootstrap"
	KindDelete    = "image.delete"
)

// params are the stored parameters of both kinds.
type params struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Planners are the planners of the operations on images, by kind.
func (r *Registry) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{KindBootstrap: r.planBootstrap, KindDelete: r.planDelete}
}

// BootstrapRequest asks for an image of this name to be made.
func (r *Registry) BootstrapRequest(ctx context.Context, name, key string) (operation.Request, error) {
	if err := names.Check(name); err != nil {
		return operation.Request{}, err
	}
	return operation.Request{
		Kind: KindBootstrap, Target: target(name), Name: name, Key: key,
		Params: params{ID: newID(), Name: name},
	}, nil
}

// target is an image's claim: by name, for one that is made has no row yet.
func target(name string) string { return "image/" + name }

func readParams(op operation.Record) (params, error) {
	var p params
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return p, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return p, checkID(p.ID)
}

func (r *Registry) planBootstrap(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	if err != nil {
		return operation.Plan{}, err
	}
	return operation.Plan{
		Steps: []operation.Step{
			{
				Name: "check the name",
				Do:   func(ctx context.Context, _ operation.Report) error { return r.checkFree(ctx, p) },
			},
			{
				Name: "make it",
				Done: func(context.Context) (bool, error) { return r.made(p.ID) },
				Do:   func(ctx context.Context, report operation.Report) error { return r.make(ctx, p, report) },
				Undo: func(ctx context.Context) error { return r.unmake(ctx, p.ID) },
			},
			{
				Name: "record it",
				Do:   func(ctx context.Context, _ operation.Report) error { return r.record(ctx, p) },
				Undo: func(ctx context.Context) error { return r.store.DeleteImage(ctx, p.ID) },
			},
		},
		Result: func() any { return map[string]string{"id": p.ID} },
	}, nil
}

// checkFree refuses a name that another image has, before the long work.
func (r *Registry) checkFree(ctx context.Context, p params) error {
	img, err := r.store.Image(ctx, p.Name)
	switch {
	case missing(err), err == nil && (img.ID == p.ID || img.Name != p.Name): // a name may look like a prefix of an ID
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.Exists, "Remove it first: banger image rm "+p.Name, "there is an image %s already", p.Name)
}

const descriptionFile = "image.json"

func (r *Registry) made(id string) (bool, error) {
	_, err := os.Stat(filepath.Join(r.dir(id), descriptionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// make makes the files where nobody finds them, and moves them when whole.
func (r *Registry) make(ctx context.Context, p params, report operation.Report) error {
	half := r.halfDir(p.ID)
	if err := r.maker.Discard(ctx, half); err != nil { // of an attempt that a crash ended
		return err
	}
	if err := os.MkdirAll(half, 0o755); err != nil {
		return err
	}
	img, err := r.maker.Make(ctx, half, report)
	if err != nil {
		return err
	}
	img.ID, img.Name, img.CreatedAt = p.ID, p.Name, r.cfg.Now().UTC()
	b, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(half, descriptionFile), append(b, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Rename(half, r.dir(p.ID)); err != nil {
		return err
	}
	if err := syncDir(r.cfg.Dir); err != nil {
		return err
	}
	r.log.Info("image made", "image", p.ID, "name", p.Name, "os", img.OS, "used", img.UsedBytes)
	return nil
}

// unmake removes the image in whatever state it is.
func (r *Registry) unmake(ctx context.Context, id string) error {
	return errors.Join(r.maker.Discard(ctx, r.halfDir(id)), r.removeFiles(id))
}

// record stores the row, out of the file that was written with the image.
func (r *Registry) record(ctx context.Context, p params) error {
	b, err := os.ReadFile(filepath.Join(r.dir(p.ID), descriptionFile))
	if err != nil {
		return err
	}
	var img Image
	if err := json.Unmarshal(b, &img); err != nil {
		return fmt.Errorf("the image's %s is damaged: %w", descriptionFile, err)
	}
	return r.store.InsertImage(ctx, img)
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

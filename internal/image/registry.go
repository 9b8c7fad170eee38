package image

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/lease"
)

// Config has the places and settings of a Registry.
type Config struct {
	Dir string // holds one directory per image
	// Users names the VMs that stand on an image.
	Users func(ctx context.Context, imageID string) ([]string, error)
	Now   func() time.Time // time.Now if nil
}

// Registry keeps the images of a state directory.
type Registry struct {
	store Store
	maker Maker
	log   *slog.Logger
	cfg   Config

	leases lease.Leases
}

// NewRegistry returns the registry of cfg.Dir.
func NewRegistry(store Store, maker Maker, log *slog.Logger, cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Registry{store: store, maker: maker, log: log, cfg: cfg}
}

// Find returns an image by name, ID or unique ID prefix.
func (r *Registry) Find(ctx context.Context, ref string) (Image, error) {
	if ref == "" {
		return Image{}, fault.New(fault.Invalid, "See which there are with: banger image ls", "an image needs a name")
	}
	img, err := r.store.Image(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	return r.placed(img), nil
}

// Get returns an image by its ID.
func (r *Registry) Get(ctx context.Context, id string) (Image, error) {
	img, err := r.store.ImageByID(ctx, id)
	if err != nil {
		return Image{}, err
	}
	return r.placed(img), nil
}

// List returns all images by name.
func (r *Registry) List(ctx context.Context) ([]Image, error) {
	images, err := r.store.Images(ctx)
	for i := range images {
		images[i] = r.placed(images[i])
	}
	return images, err
}

// Users names the VMs that stand on an image.
func (r *Registry) Users(ctx context.Context, imageID string) ([]string, error) {
	return r.cfg.Users(ctx, imageID)
}

// Lease keeps an image from being deleted until release is called. It never
// waits: an image that is being deleted is fault.Busy. Holder is for people.
func (r *Registry) Lease(ctx context.Context, imageID, holder string) (release func(), err error) {
	release, err = r.leases.Take(imageID, "image", holder)
	if err != nil {
		return nil, err
	}
	// Only now: a deletion that came before us has removed the row by now.
	if _, err := r.store.ImageByID(ctx, imageID); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// placed fills in what follows from the ID.
func (r *Registry) placed(img Image) Image {
	dir := r.dir(img.ID)
	img.Path, img.SkelDir, img.SeedsDir = filepath.Join(dir, RootFile), filepath.Join(dir, SkelName), filepath.Join(dir, seedsName)
	return img
}

func (r *Registry) dir(id string) string { return filepath.Join(r.cfg.Dir, id) }

// halfDir is where an image is until it is whole.
func (r *Registry) halfDir(id string) string { return filepath.Join(r.cfg.Dir, ".making-"+id) }

// goneDir is where an image is while it is removed.
func (r *Registry) goneDir(id string) string { return filepath.Join(r.cfg.Dir, ".deleting-"+id) }

// missing says whether err only means that nothing is there.
func missing(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.NotFound
}

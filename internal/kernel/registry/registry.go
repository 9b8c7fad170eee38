// Package registry names the kernels of a state directory: records of them,
// leases that keep one from being deleted under a VM in the making, and the
// operations that import and delete one. Their files are the library's.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/lease"
)

// Default is the name of the kernel that is made on first use, and of where it
// comes from.
const Default = "debian"

// Imported is the origin of any other kernel.
const Imported = "imported"

// Record is a kernel as the store keeps it.
type Record struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Origin    string    `json:"origin"`          // Default or Imported
	Release   string    `json:"release"`         // uname -r
	Source    string    `json:"source"`          // where it came from, for people
	Lacks     []string  `json:"lacks,omitempty"` // of kernel.Noted
	SizeBytes int64     `json:"size"`            // of its files
	CreatedAt time.Time `json:"created_at"`
}

// Store keeps records. Names are unique; a ref is what a user types: a name, an
// ID or a unique ID prefix, in that order. Missing rows are fault.NotFound, a
// taken name is fault.Exists, an ambiguous prefix fault.Invalid.
type Store interface {
	// PutKernel stores a record, or changes the one with its ID.
	PutKernel(ctx context.Context, r Record) error
	DeleteKernel(ctx context.Context, id string) error // a missing one is no error
	Kernel(ctx context.Context, ref string) (Record, error)
	KernelByID(ctx context.Context, id string) (Record, error) // by nothing else
	Kernels(ctx context.Context) ([]Record, error)             // by name
}

// Library has the kernels' files.
type Library interface {
	Ensure(ctx context.Context, report kernel.Report) (kernel.Kernel, error)
	Default() (kernel.Kernel, error)
	Get(id string) (kernel.Kernel, error)
	Import(ctx context.Context, id string, src kernel.Source, report kernel.Report) (kernel.Kernel, error)
	Remover
}

// Remover removes the files of a kernel: Hide takes them from where they are
// found, and Remove removes what was hidden or is half-made.
type Remover interface {
	Hide(id string) error
	Remove(id string) error
}

// Config has what a Registry needs of its surroundings.
type Config struct {
	// Users names the VMs that run on a kernel, or will.
	Users func(ctx context.Context, id string) ([]string, error)
	// Open makes the source of a kernel that is imported, out of absolute paths.
	Open func(vmlinuz, modules string) kernel.Source
	Now  func() time.Time // time.Now if nil
}

// Registry keeps the kernels of a state directory.
type Registry struct {
	store   Store
	library Library
	log     *slog.Logger
	cfg     Config

	leases lease.Leases
}

// New returns the registry of library's kernels.
func New(store Store, library Library, log *slog.Logger, cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Registry{store: store, library: library, log: log, cfg: cfg}
}

// Find returns a kernel by name, ID or unique ID prefix.
func (r *Registry) Find(ctx context.Context, ref string) (Record, error) {
	if ref == "" {
		return Record{}, fault.New(fault.Invalid, seeAll, "a kernel needs a name")
	}
	return r.store.Kernel(ctx, ref)
}

const seeAll = "See which there are with: banger kernel ls"

// Get returns the kernel with this ID.
func (r *Registry) Get(ctx context.Context, id string) (Record, error) {
	return r.store.KernelByID(ctx, id)
}

// List returns all kernels by name.
func (r *Registry) List(ctx context.Context) ([]Record, error) { return r.store.Kernels(ctx) }

// missing says whether err only means that nothing is there.
func missing(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.NotFound
}

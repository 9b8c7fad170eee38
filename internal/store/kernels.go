package store

import (
	"context"
	"slices"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel/registry"
)

// PutKernel stores a kernel, or changes the one with its ID.
func (s *Store) PutKernel(ctx context.Context, k registry.Record) error {
	err := s.kernels.update(ctx, s.write, k.ID, k.Name, k)
	if fault.KindOf(err) == fault.NotFound {
		return s.kernels.insert(ctx, s, k.ID, k.Name, k)
	}
	return err
}

// DeleteKernel forgets a kernel.
func (s *Store) DeleteKernel(ctx context.Context, id string) error {
	return s.kernels.delete(ctx, s, id)
}

// Kernel finds a kernel by its name, its ID or a unique prefix of that.
func (s *Store) Kernel(ctx context.Context, ref string) (registry.Record, error) {
	return s.kernels.get(ctx, s, ref)
}

// KernelByID finds a kernel by its ID.
func (s *Store) KernelByID(ctx context.Context, id string) (registry.Record, error) {
	return s.kernels.byID(ctx, s, id)
}

// Kernels returns all kernels by name.
func (s *Store) Kernels(ctx context.Context) ([]registry.Record, error) { return s.kernels.all(ctx, s) }

func cloneKernel(k registry.Record) registry.Record {
	k.Lacks = slices.Clone(k.Lacks)
	return k
}

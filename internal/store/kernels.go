package store

import (
	"context"
	"slices"

	"github.com/banger-vm/banger/internal/kernel/registry"
)

// PutKernel stores a kernel, or changes the one with its ID.
func (s *Store) PutKernel(ctx context.Context, k registry.Record) error {
	return s.kernels.put(ctx, s, k.ID, k.Name, k)
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

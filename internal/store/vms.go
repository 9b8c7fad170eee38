package store

import (
	"context"

	"github.com/banger-vm/banger/internal/vm"
)

func vms() named[vm.Record] { return named[vm.Record]{table: "vms", what: "VM"} }

// InsertVM stores a new VM.
func (s *Store) InsertVM(ctx context.Context, r vm.Record) error {
	return vms().insert(ctx, s, r.ID, r.Spec.Name, r)
}

// UpdateVM stores a VM that is there.
func (s *Store) UpdateVM(ctx context.Context, r vm.Record) error {
	return vms().update(ctx, s, r.ID, r.Spec.Name, r)
}

// DeleteVM forgets a VM.
func (s *Store) DeleteVM(ctx context.Context, id string) error { return vms().delete(ctx, s, id) }

// VM finds a VM by its name, its ID or a unique prefix of that.
func (s *Store) VM(ctx context.Context, ref string) (vm.Record, error) { return vms().get(ctx, s, ref) }

// VMs returns all VMs by name.
func (s *Store) VMs(ctx context.Context) ([]vm.Record, error) { return vms().all(ctx, s) }

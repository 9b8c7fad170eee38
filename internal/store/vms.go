package store

import (
	"context"
	"maps"
	"slices"

	"github.com/banger-vm/banger/internal/vm"
)

// InsertVM stores a new VM.
func (s *Store) InsertVM(ctx context.Context, r vm.Record) error {
	return s.vms.insert(ctx, s, r.ID, r.Spec.Name, r)
}

// ChangeVM changes a VM in a transaction; nothing is stored where change
// returns false.
func (s *Store) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error {
	return s.vms.change(ctx, s, id, func(r *vm.Record) (string, bool) {
		ok := change(r)
		return r.Spec.Name, ok
	})
}

// DeleteVM forgets a VM.
func (s *Store) DeleteVM(ctx context.Context, id string) error { return s.vms.delete(ctx, s, id) }

// VM finds a VM by its name, its ID or a unique prefix of that.
func (s *Store) VM(ctx context.Context, ref string) (vm.Record, error) { return s.vms.get(ctx, s, ref) }

// VMByID finds a VM by its ID.
func (s *Store) VMByID(ctx context.Context, id string) (vm.Record, error) {
	return s.vms.byID(ctx, s, id)
}

// VMs returns all VMs by name.
func (s *Store) VMs(ctx context.Context) ([]vm.Record, error) { return s.vms.all(ctx, s) }

// cloneVM copies a record and all that it points to.
func cloneVM(r vm.Record) vm.Record {
	r.Spec.Labels, r.Weaker, r.Lacking = maps.Clone(r.Spec.Labels), slices.Clone(r.Weaker), maps.Clone(r.Lacking)
	r.Spec.Forwards, r.Spec.AllowHosts = slices.Clone(r.Spec.Forwards), slices.Clone(r.Spec.AllowHosts)
	if auto := r.Spec.AutoForward; auto != nil {
		r.Spec.AutoForward = new(*auto)
	}
	if r.Comeback != nil {
		r.Comeback = new(*r.Comeback)
	}
	if r.Boot == nil {
		return r
	}
	boot := *r.Boot
	r.Boot = &boot
	if boot.Shape != nil {
		shape := *boot.Shape
		shape.AllowHosts = slices.Clone(shape.AllowHosts)
		boot.Shape = &shape
	}
	if boot.Exit != nil {
		exit := *boot.Exit
		boot.Exit = &exit
	}
	if boot.Status != nil {
		status := *boot.Status
		boot.Status = &status
		status.Guest.Notes = slices.Clone(status.Guest.Notes)
		if status.Guest.Auth != nil {
			auth := *status.Guest.Auth
			status.Guest.Auth = &auth
			auth.Problems, auth.Files = slices.Clone(auth.Problems), slices.Clone(auth.Files)
		}
		status.VMM.Reduced = slices.Clone(status.VMM.Reduced)
		status.Forwards = slices.Clone(status.Forwards)
		status.Units, status.Reduced = slices.Clone(status.Units), slices.Clone(status.Reduced)
		if status.Network != nil {
			network := *status.Network
			network.Refused, network.Last = slices.Clone(network.Refused), slices.Clone(network.Last)
			status.Network = &network
		}
		if status.Exit != nil {
			exit := *status.Exit
			status.Exit = &exit
		}
	}
	return r
}

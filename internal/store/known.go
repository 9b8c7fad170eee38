package store

import (
	"context"
	"strings"

	"github.com/banger-vm/banger/internal/doctor/residue"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// Known is what the records say of what is on the host. A VM on which an
// operation works may run, and need not be whole.
func (s *Store) Known(ctx context.Context) (residue.Known, error) {
	have, newest, err := s.Version(ctx)
	if err != nil {
		return residue.Known{}, plain(err)
	}
	if have != newest {
		return residue.Known{}, fault.New(fault.Precondition, "Let a daemon do it first: banger ls",
			"banger's state is of version %d, and can be compared with the host once it is of version %d", have, newest)
	}
	ops, err := s.Operations(ctx, true)
	if err != nil {
		return residue.Known{}, err
	}
	k, busy := residue.NewKnown(false), map[string]bool{}
	for _, op := range ops {
		id, ofVM := strings.CutPrefix(op.Target, "vm/")
		if !op.State.Final() {
			busy[id], k.Busy = true, true
		}
		if ofVM && op.Kind == "vm.create" && (op.State == operation.Canceled || op.State == operation.Failed) {
			k.Unmade[id] = true
		}
	}
	vms, err := s.VMs(ctx)
	if err != nil {
		return k, err
	}
	for _, v := range vms {
		delete(k.Unmade, v.ID)
		mayRun := v.Boot != nil && v.Boot.Exit == nil
		k.VMs[v.ID] = residue.VM{Name: v.Spec.Name, Runs: mayRun || busy[v.ID], Made: v.Made && !busy[v.ID]}
	}
	for _, op := range ops { // a VM that was whole is kept though its first start failed
		if id, ofVM := strings.CutPrefix(op.Target, "vm/"); ofVM && op.Kind != "vm.create" {
			delete(k.Unmade, id)
		}
	}
	images, err := s.Images(ctx)
	for _, i := range images {
		k.Images[i.ID] = i.Name
	}
	if err != nil {
		return k, err
	}
	kernels, err := s.Kernels(ctx)
	for _, each := range kernels {
		k.Kernels[each.ID] = each.Name
	}
	return k, err
}

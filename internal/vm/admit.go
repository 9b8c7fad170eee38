package vm

import (
	"context"

	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vm/usage"
)

// admitStep takes the room for a start, or refuses it. Two that begin at once
// may both have been let in before, and only here one of them is too many.
func (m *Manager) admitStep(p startParams) operation.Step {
	return operation.Step{
		Name: "take the room",
		Do: func(ctx context.Context, _ operation.Report) error {
			r, err := m.Store.VMByID(ctx, p.ID)
			if err != nil || r.MayRun() || p.Force || m.Capacity == nil {
				return err
			}
			loads, err := m.loads(ctx)
			if err != nil {
				return err
			}
			return m.Capacity.Grant(p.ID, loads, load(r.Spec))
		},
		Undo: func(context.Context) error { m.settled(p.ID); return nil },
	}
}

// settled ends what a start has taken: its boot is recorded and counts, or there
// is none.
func (m *Manager) settled(id string) {
	if m.Capacity != nil {
		m.Capacity.Settle(id)
	}
}

// admitsNew refuses a VM in the making that this host cannot carry.
func (m *Manager) admitsNew(ctx context.Context, p createParams) error {
	l := capacity.Load{}
	if p.Start {
		l = load(p.Spec)
	}
	return m.admits(ctx, p.ID, l, p.Force)
}

// Admits refuses a start of a VM that this host cannot carry.
func (m *Manager) Admits(ctx context.Context, r Record, force bool) error {
	return m.admits(ctx, r.ID, load(r.Spec), force)
}

func (m *Manager) admits(ctx context.Context, id string, l capacity.Load, force bool) error {
	if m.Capacity == nil || force {
		return nil
	}
	loads, err := m.loads(ctx)
	if err != nil {
		return err
	}
	return m.Capacity.Admits(id, loads, l)
}

// loads are what the VMs that may run have.
func (m *Manager) loads(ctx context.Context) (map[string]capacity.Load, error) {
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return nil, err
	}
	loads := map[string]capacity.Load{}
	for _, r := range records {
		if !r.MayRun() {
			continue
		}
		s := r.shape()
		l := capacity.Load{CPUs: s.CPUs, MemoryBytes: s.MemoryBytes}
		if live := m.liveStatus(r.ID); live != nil {
			if h := usage.Of(*live, m.cfg.Now()); h.VMM != nil {
				l.ResidentBytes = h.VMM.Resident
			}
		}
		loads[r.ID] = l
	}
	return loads, nil
}

func load(s spec.VM) capacity.Load {
	return capacity.Load{CPUs: s.CPUs, MemoryBytes: s.MemoryBytes}
}

// HostLoad is what this host has, and what the VMs that may run have of it.
func (m *Manager) HostLoad(ctx context.Context) (capacity.Host, capacity.Sum, error) {
	loads, err := m.loads(ctx)
	if err != nil {
		return capacity.Host{}, capacity.Sum{}, err
	}
	var s capacity.Sum
	for _, l := range loads {
		s.Add(l)
	}
	h, err := m.Capacity.Host()
	return h, s, err
}

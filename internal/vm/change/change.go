// Package change makes a VM into another: more processors, memory or disk,
// another network, other labels, another restart policy. What a running VM
// cannot be given is kept for its next start; what it runs with is told by its
// boot.
package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/banger-vm/banger/internal/disk/sparse"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// VMs is what a Changer needs of the VMs; vm.Manager implements it.
type VMs interface {
	Begin(ctx context.Context, ref, kind, key string, what func(vm.Record) (params any, err error)) (operation.Record, error)
	Inspect(ctx context.Context, ref string) (vm.View, error)
	Fit(ctx context.Context, r vm.Record, s *spec.VM) error
	WorkDiskBytes(id string) (int64, error)
	GrowDisk(ctx context.Context, id string) (grown bool, err error)
	Publish(id, kind, message string)
}

// Store is the part of vm.Store that a Changer needs.
type Store interface {
	ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error
}

// Changer changes VMs.
type Changer struct {
	vms   VMs
	store Store
}

// New makes a Changer. Its planners go into the registry of operations.
func New(vms VMs, store Store) *Changer { return &Changer{vms, store} }

// params are all that a change needs.
type params struct {
	ID   string   `json:"id"`
	Was  settings `json:"was"`
	Want settings `json:"want"`
}

// Result is the result of a change: what it changed, and what of that the VM,
// which runs, has from its next start on.
type Result struct {
	ID      string   `json:"id"`
	Changed []string `json:"changed,omitempty"`
	Pending []string `json:"pending,omitempty"`
}

// Set begins to change a VM, running or not: all of it or, where one thing is
// refused, nothing.
func (c *Changer) Set(ctx context.Context, ref string, asked Asked, key string) (operation.Record, error) {
	return c.vms.Begin(ctx, ref, vm.KindSet, key, func(r vm.Record) (any, error) {
		want, err := asked.apply(r.Spec)
		if err != nil {
			return nil, err
		}
		if err := c.fit(ctx, r, &want); err != nil {
			return nil, asked.explain(err, want)
		}
		return params{ID: r.ID, Was: settingsOf(r.Spec), Want: settingsOf(want)}, nil
	})
}

func (c *Changer) fit(ctx context.Context, r vm.Record, want *spec.VM) error {
	if want.DiskBytes != r.Spec.DiskBytes {
		has, err := c.vms.WorkDiskBytes(r.ID)
		if err != nil {
			return fmt.Errorf("the work disk of %s cannot be looked at: %w", r.Spec.Name, err)
		}
		if want.DiskBytes < has { // what has only been asked for may be taken back
			return smaller(r, has, want.DiskBytes)
		}
	}
	return c.vms.Fit(ctx, r, want)
}

// Planners are the plans of this package's operations.
func (c *Changer) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{vm.KindSet: c.plan}
}

func (c *Changer) plan(op operation.Record) (operation.Plan, error) {
	var p params
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	var steps []operation.Step
	if p.Want.DiskBytes > p.Was.DiskBytes {
		steps = append(steps, operation.Step{
			Name: "look at the file system",
			Do:   func(ctx context.Context, _ operation.Report) error { return c.checkDisk(ctx, p) },
		})
	}
	steps = append(steps, operation.Step{
		Name: "record it",
		Do:   func(ctx context.Context, _ operation.Report) error { return c.record(ctx, p.ID, p.Was, p.Want) },
		Undo: func(ctx context.Context) error {
			was := p.Was
			if has, err := c.vms.WorkDiskBytes(p.ID); err == nil { // which stays as large as it has become
				was.DiskBytes = max(was.DiskBytes, has)
			}
			err := c.record(ctx, p.ID, p.Want, was)
			if k := fault.KindOf(err); k == fault.Busy || k == fault.NotFound { // others are at it, or it is gone
				return nil
			}
			return err
		},
	})
	if p.Want.DiskBytes > p.Was.DiskBytes {
		steps = append(steps, operation.Step{
			Name: "grow the work disk",
			Do: func(ctx context.Context, _ operation.Report) error {
				_, err := c.vms.GrowDisk(ctx, p.ID)
				return err
			},
		})
	}
	return operation.Plan{Steps: steps, Result: func() any { return c.result(p) }}, nil
}

// checkDisk refuses a disk that the VM's next start could not make.
func (c *Changer) checkDisk(ctx context.Context, p params) error {
	v, err := c.vms.Inspect(ctx, p.ID)
	if err != nil {
		return err
	}
	if err := sparse.Check(ctx, v.Dir, p.Want.DiskBytes); err != nil {
		return fault.New(fault.Precondition, "Ask for less.", "%w", err)
	}
	return nil
}

// record makes what a VM was into what it is to be, once, unless somebody else
// has changed it.
func (c *Changer) record(ctx context.Context, id string, was, want settings) error {
	var err error
	changed := false
	changeErr := c.store.ChangeVM(ctx, id, func(r *vm.Record) bool {
		err, changed = nil, false
		switch has := settingsOf(r.Spec); {
		case has.equal(want):
			return false
		case !has.equal(was):
			err = fault.New(fault.Busy, "Try again.", "the VM %s has just been changed", r.Spec.Name)
			return false
		}
		want.into(&r.Spec)
		changed = true
		return true
	})
	if err := errors.Join(err, changeErr); err != nil {
		return err
	}
	if changed {
		c.vms.Publish(id, "vm.changed", describe(was, want))
	}
	return nil
}

func (c *Changer) result(p params) Result {
	res := Result{ID: p.ID, Changed: p.Was.differs(p.Want)}
	v, err := c.vms.Inspect(context.Background(), p.ID)
	if err != nil { // what is pending is told by inspect too, once it can be
		return res
	}
	for _, field := range v.Pending {
		if slices.Contains(res.Changed, field) {
			res.Pending = append(res.Pending, field)
		}
	}
	return res
}

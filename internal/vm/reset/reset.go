// Package reset makes the root of a VM what its image is: all that was written
// there is dropped. Its work disk stays, and so does what it is: name, ID,
// machine ID and SSH host keys.
package reset

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
)

// VMs is what a Resetter needs of the VMs; vm.Manager implements it.
type VMs interface {
	Begin(ctx context.Context, ref, kind, key string, what func(vm.Record) (params any, err error)) (operation.Record, error)
	Inspect(ctx context.Context, ref string) (vm.View, error)
	StopSteps(id string, timeout time.Duration) []operation.Step
	StartSteps(id, bootID string) []operation.Step
	Startable(ctx context.Context, r vm.Record) error
}

// Images is the part of vm.Images that a Resetter needs.
type Images interface {
	Get(ctx context.Context, id string) (vm.Image, error)
}

// Resetter resets VMs.
type Resetter struct {
	vms    VMs
	images Images
	disks  map[string]disk.Driver
}

// New makes a Resetter; disks are the drivers by their names. Its planners go
// into the registry of operations.
func New(vms VMs, images Images, disks map[string]disk.Driver) *Resetter {
	return &Resetter{vms, images, disks}
}

// params are all that a reset needs.
type params struct {
	ID      string        `json:"id"`
	Force   bool          `json:"force,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// BootID is that of the start that follows, "" where none does: it did not run.
	BootID string `json:"boot_id,omitempty"`
}

// Reset begins to reset a VM. One that runs is refused unless force: then its
// guest is stopped, for which it has timeout (0: the default), once the fresh root
// is there, and it is started again after that.
func (r *Resetter) Reset(ctx context.Context, ref string, force bool, timeout time.Duration, key string) (operation.Record, error) {
	return r.vms.Begin(ctx, ref, vm.KindReset, key, func(rec vm.Record) (any, error) {
		p := params{ID: rec.ID, Force: force, Timeout: timeout}
		switch {
		case rec.MayRun() && !force:
			return nil, running(rec)
		case rec.MayRun():
			p.BootID = vm.NewBootID()
		}
		if _, err := r.driver(rec); err != nil {
			return nil, err
		}
		return p, r.vms.Startable(ctx, rec)
	})
}

func running(rec vm.Record) error {
	return fault.New(fault.Precondition, "Stop it first, or use: banger reset -f "+rec.Spec.Name, "the VM %s is running", rec.Spec.Name)
}

func (r *Resetter) driver(rec vm.Record) (disk.Driver, error) {
	d, ok := r.disks[rec.Spec.DiskDriver]
	if !ok {
		return nil, fault.New(fault.Precondition, "Use the version of banger that made it.",
			"this banger has no disk driver %q, which %s stands on", rec.Spec.DiskDriver, rec.Spec.Name)
	}
	return d, nil
}

// Planners are the plans of this package's operations.
func (r *Resetter) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{vm.KindReset: r.plan}
}

// plan makes a fresh root while the old one is still there, and in use, so that a
// cancel costs nothing; the old one goes in one step.
func (r *Resetter) plan(op operation.Record) (operation.Plan, error) {
	var p params
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	steps := []operation.Step{{
		Name: "make a fresh root",
		Do:   func(ctx context.Context, report operation.Report) error { return r.stage(ctx, p.ID, report) },
		Undo: func(ctx context.Context) error { return r.unstage(ctx, p.ID) },
	}}
	if p.Force {
		steps = append(steps, r.vms.StopSteps(p.ID, p.Timeout)...)
	} else {
		steps = append(steps, operation.Step{
			Name: "see that it does not run",
			Do:   func(ctx context.Context, _ operation.Report) error { return r.idle(ctx, p.ID) },
		})
	}
	steps = append(steps, operation.Step{
		Name: "drop the old one", Final: true, Keep: true,
		Do: func(ctx context.Context, _ operation.Report) error {
			return r.replace(context.WithoutCancel(ctx), p.ID)
		},
	})
	if p.BootID != "" {
		steps = append(steps, r.vms.StartSteps(p.ID, p.BootID)...)
	}
	return operation.Plan{Steps: steps, Result: func() any { return map[string]string{"id": p.ID} }}, nil
}

// idle refuses a VM that has been started meanwhile.
func (r *Resetter) idle(ctx context.Context, id string) error {
	v, err := r.vms.Inspect(ctx, id)
	if err == nil && (v.Live != nil || v.MayRun()) {
		return running(v.Record)
	}
	return err
}

// root is all that the steps need of the VM.
func (r *Resetter) root(ctx context.Context, id string) (disk.Driver, string, disk.Base, error) {
	v, err := r.vms.Inspect(ctx, id)
	if err != nil {
		return nil, "", disk.Base{}, err
	}
	driver, err := r.driver(v.Record)
	if err != nil {
		return nil, "", disk.Base{}, err
	}
	img, err := r.images.Get(ctx, v.ImageID)
	return driver, v.Dir, img.Root, err
}

// stage does the part of the work that takes long.
func (r *Resetter) stage(ctx context.Context, id string, report operation.Report) error {
	driver, dir, base, err := r.root(ctx, id)
	if err != nil {
		return err
	}
	if staged, ok := driver.(disk.Staged); ok {
		return staged.Stage(ctx, dir, base, func(done, total int64) {
			report(operation.Progress{Phase: "copying the image", Done: done, Total: total, Unit: "bytes"})
		})
	}
	return nil
}

func (r *Resetter) unstage(ctx context.Context, id string) error {
	driver, dir, _, err := r.root(ctx, id)
	if staged, ok := driver.(disk.Staged); ok && err == nil {
		return staged.Unstage(dir)
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

func (r *Resetter) replace(ctx context.Context, id string) error {
	driver, dir, base, err := r.root(ctx, id)
	if err != nil {
		return err
	}
	if staged, ok := driver.(disk.Staged); ok {
		return staged.Replace(dir)
	}
	return driver.Reset(ctx, dir, base)
}

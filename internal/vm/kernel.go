package vm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/operation"
)

// plainDisk is the disk driver of a VM whose kernel lacks what another needs.
const plainDisk = "copy"

// checkKernel refuses what can come to nothing with the kernel that is asked
// for, before an image is made for it.
func (m *Manager) checkKernel(ctx context.Context, p createParams) error {
	k, err := m.Kernels.Find(ctx, p.Spec.Kernel)
	if err != nil {
		return err
	}
	if _, _, err := m.fit(p, k); err != nil {
		return err
	}
	w := m.want(p.Spec, p.Spec.VMM)
	w.Kernel, w.Lacks = k.Name, k.Lacks
	return m.VMMs.Check(ctx, w)
}

// bindKernel gives the VM its kernel for good, and the disk that goes with it.
func (m *Manager) bindKernel(ctx context.Context, p createParams, report operation.Report) error {
	k, release, err := m.Kernels.Ensure(ctx, p.Spec.Kernel, p.Spec.Name, report)
	if err != nil {
		return err
	}
	defer release() // from then on the record keeps the kernel
	driver, weaker, err := m.fit(p, k)
	if err != nil {
		return err
	}
	return m.update(ctx, p.ID, func(r *Record) {
		r.KernelID, r.Spec.Kernel, r.Spec.DiskDriver, r.Weaker = k.ID, k.Name, driver, weaker
	})
}

// fit returns the disk driver for a VM with that kernel, and what is weaker
// about it; or what they cannot be together.
func (m *Manager) fit(p createParams, k Kernel) (driver string, weaker []string, err error) {
	if err := m.fitNetwork(p.Spec.Network, k); err != nil {
		return "", nil, err
	}
	return m.fitDisk(p, k)
}

// fitNetwork refuses a network that no driver of the kernel is for.
func (m *Manager) fitNetwork(name string, k Kernel) error {
	driver, err := m.networkDriver(name)
	if err != nil {
		return err
	}
	if slices.Equal(driver.Backends(), []network.Backend{network.BackendNone}) || !slices.Contains(k.Lacks, network.GuestDriver) {
		return nil
	}
	return fault.New(fault.Precondition, "Use --network none, or another kernel: banger kernel ls",
		"the kernel %s lacks %s, which the network %q needs", k.Name, network.GuestDriver, name)
}

// fitDisk returns the disk driver for a VM with that kernel, and what is weaker
// about it. One that was asked for is not replaced.
func (m *Manager) fitDisk(p createParams, k Kernel) (name string, weaker []string, err error) {
	name = p.Spec.DiskDriver
	driver, err := m.diskDriver(name)
	if err != nil {
		return "", nil, err
	}
	var lacks []string
	if d, ok := driver.(disk.GuestJoined); ok {
		for _, need := range d.GuestDrivers() {
			if slices.Contains(k.Lacks, need) {
				lacks = append(lacks, need)
			}
		}
	}
	switch {
	case len(lacks) == 0:
		return name, nil, nil
	case p.DiskAsked:
		return "", nil, fault.New(fault.Precondition, "Use --disk-driver "+plainDisk+", or another kernel: banger kernel ls",
			"the kernel %s lacks %s, which the disk driver %s needs", k.Name, strings.Join(lacks, " and "), name)
	}
	return plainDisk, []string{fmt.Sprintf("The root is a full copy of the image (disk driver %s): the kernel %s lacks %s, which %s needs.",
		plainDisk, k.Name, strings.Join(lacks, " and "), name)}, nil
}

// created is the result of a create.
type created struct {
	ID     string   `json:"id"`
	Weaker []string `json:"weaker,omitempty"` // sentences, for whoever made it
}

func (m *Manager) created(id string) created {
	r, err := m.Store.VMByID(m.ctx, id)
	if err != nil { // it is said by inspect too
		m.Log.Warn("what is weaker of a VM that was made is not known", "vm", id, "err", err)
	}
	return created{ID: id, Weaker: r.Weaker}
}

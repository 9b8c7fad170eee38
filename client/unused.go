package client

import (
	"context"
	"slices"

	"github.com/banger-vm/banger/api"
)

// UnusedRequest says what may be unused.
type UnusedRequest struct {
	Labels          []string // KEY=VALUE or KEY: of the VMs only those that have all of them
	Images, Kernels bool     // also those that no VM stands on, or none but unused ones
}

// Unused is something that could be removed.
type Unused struct {
	Kind string `json:"kind"` // vm, image or kernel
	ID   string `json:"id"`
	Name string `json:"name"`
	Why  string `json:"why"`
	// UsedBytes is about what its removal frees.
	UsedBytes int64 `json:"used"`
}

// Unused returns the VMs that do not run and that no operation holds, then images
// and kernels. It is what was true a moment ago: whoever removes them does it by
// their IDs and without force, and is refused what is in use by then.
func (c *Client) Unused(ctx context.Context, req UnusedRequest) ([]Unused, error) {
	vms, stats, err := c.StatsOf(ctx, StatsOfRequest{List: api.VMListRequest{All: true, Labels: req.Labels}, Keep: unused})
	if err != nil {
		return nil, err
	}
	all := make([]Unused, len(stats))
	for i, s := range stats {
		all[i] = Unused{Kind: "vm", ID: s.ID, Name: s.Name, Why: string(s.State)}
		for _, d := range s.Disks {
			if !d.Shared { // what is the VM's alone
				all[i].UsedBytes += d.UsedBytes
			}
		}
	}
	kept := func(users []string) bool {
		return slices.ContainsFunc(users, func(name string) bool {
			return !slices.ContainsFunc(vms, func(vm api.VM) bool { return vm.Name == name })
		})
	}
	if req.Images {
		images, err := c.ImageList(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range images {
			if !kept(i.VMs) {
				all = append(all, Unused{"image", i.ID, i.Name, "no VM stands on it", i.UsedBytes})
			}
		}
	}
	if req.Kernels {
		kernels, err := c.KernelList(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range kernels {
			if !kept(k.VMs) {
				all = append(all, Unused{"kernel", k.ID, k.Name, "no VM runs on it", k.SizeBytes})
			}
		}
	}
	return all, nil
}

func unused(vm api.VM) bool {
	if vm.Comeback != nil && !vm.Comeback.NextAt.IsZero() {
		return false // it is about to be started again
	}
	return vm.Operation == "" && (vm.State == api.StateStopped || vm.State == api.StateFailed)
}

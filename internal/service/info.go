package service

import (
	"context"

	"github.com/banger-vm/banger/api"
)

// info is what this host has, and what is made of it.
func (p Parts) info(ctx context.Context, _ api.Empty) (any, error) {
	status, err := p.Daemon.Status(ctx)
	if err != nil {
		return nil, err
	}
	h, sum, err := p.VMs.HostLoad(ctx)
	if err != nil {
		return nil, err
	}
	images, err := p.Images.List(ctx)
	if err != nil {
		return nil, err
	}
	kernels, err := p.Kernels.List(ctx)
	if err != nil {
		return nil, err
	}
	policy := p.VMs.Capacity.Policy()
	return api.HostInfo{
		Daemon: status, Kernel: h.Kernel, CPUs: h.CPUs, MemoryBytes: h.MemoryBytes, AvailableBytes: h.AvailableBytes,
		DiskBytes: h.DiskBytes, FreeBytes: h.FreeBytes,
		Running:          api.RunningSum{VMs: sum.VMs, CPUs: sum.CPUs, MemoryBytes: sum.MemoryBytes, YetBytes: sum.YetBytes},
		MemoryOvercommit: policy.MemoryOvercommit, CPUOvercommit: policy.CPUOvercommit, DiskReserve: policy.DiskReserve,
		Images: len(images), Kernels: len(kernels),
	}, nil
}

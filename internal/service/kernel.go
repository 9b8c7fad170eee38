package service

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

func (p Parts) kernelMethods() map[string]rpcserver.Handler {
	return map[string]rpcserver.Handler{
		api.MethodKernelList: rpcserver.Bind(func(ctx context.Context, _ api.Empty) (any, error) {
			kernels, err := p.Kernels.List(ctx)
			if err != nil {
				return nil, err
			}
			list := api.KernelList{Kernels: make([]api.Kernel, len(kernels))}
			for i, k := range kernels {
				if list.Kernels[i], err = p.kernelFrom(ctx, k); err != nil {
					return nil, err
				}
			}
			return list, nil
		}),
		api.MethodKernelInspect: rpcserver.Bind(func(ctx context.Context, r api.KernelRef) (any, error) {
			k, err := p.Kernels.Find(ctx, r.Kernel)
			if err != nil {
				return nil, err
			}
			return p.kernelFrom(ctx, k)
		}),
		api.MethodKernelImportBegin: rpcserver.Bind(func(ctx context.Context, r api.KernelImportRequest) (any, error) {
			return begun(p.Kernels.Import(ctx, r.Vmlinuz, r.Modules, r.Name, r.Key, p.Operations))
		}),
		api.MethodKernelDelete: rpcserver.Bind(func(ctx context.Context, r api.KernelDeleteRequest) (any, error) {
			return begun(p.Kernels.Delete(ctx, r.Kernel, r.Key, p.Operations))
		}),
	}
}

func (p Parts) kernelFrom(ctx context.Context, k registry.Record) (api.Kernel, error) {
	users, err := p.VMs.KernelUsers(ctx, k.ID)
	return api.Kernel{
		ID: k.ID, Name: k.Name, Origin: k.Origin, Release: k.Release, Source: k.Source, Lacks: k.Lacks,
		SizeBytes: k.SizeBytes, CreatedAt: k.CreatedAt, VMs: users,
	}, err
}

package service

import (
	"context"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// VMMs looks at the VMMs of this host.
type VMMs interface {
	// List returns them in the order in which they are chosen; try boots a
	// tiny guest where it is not known whether KVM works.
	List(ctx context.Context, try bool) ([]VMM, error)
}

// VMM is a VMM of this host.
type VMM struct {
	Name     string
	By       string // where its program was looked for
	Info     vmm.Info
	Err      error // of looking at it
	Networks []string
	// Usual is the choice for a VM that asks for nothing, if it is this one.
	Usual *choose.Choice
}

func (p Parts) vmmMethods() map[string]rpcserver.Handler {
	return map[string]rpcserver.Handler{
		api.MethodVMMList: rpcserver.Bind(func(ctx context.Context, r api.VMMListRequest) (any, error) {
			vmms, err := p.VMMs.List(ctx, r.Try)
			list := api.VMMList{VMMs: make([]api.VMM, len(vmms))}
			for i, v := range vmms {
				list.VMMs[i] = vmmFrom(v)
			}
			return list, err
		}),
		api.MethodVMMInstallBegin: rpcserver.Bind(func(ctx context.Context, r api.VMMInstallRequest) (any, error) {
			return begun(p.Installs.Install(ctx, r.VMM, r.From, r.SHA256, r.Key, p.Operations))
		}),
		api.MethodVMMRemove: rpcserver.Bind(func(ctx context.Context, r api.VMMRemoveRequest) (any, error) {
			return begun(p.Installs.Remove(ctx, r.VMM, r.Key, p.Operations))
		}),
	}
}

func vmmFrom(v VMM) api.VMM {
	out := api.VMM{Name: v.Name, FoundBy: v.By}
	if v.Err != nil {
		f := fault.From(v.Err)
		out.Error = &api.Error{Kind: api.Kind(f.Kind), Message: f.Message, Hint: f.Hint}
		return out
	}
	out.Version, out.Path, out.Networks = v.Info.Version, v.Info.Path, v.Networks
	for _, accel := range []vmm.Accel{vmm.AccelKVM, vmm.AccelTCG} {
		reason, known := v.Info.Accels[accel]
		if !known {
			continue
		}
		a := api.VMMAccel{Name: string(accel), Works: reason == "", NotTried: reason == vmm.NotTried, Reason: reason}
		if a.Works || a.NotTried {
			a.Isolation = v.Info.Isolation[accel].Describe(v.Name, accel)
		}
		if a.Works && v.Usual != nil && v.Usual.Accel == accel {
			a.Default, a.Why = true, strings.TrimPrefix(v.Usual.Why, "chosen: ")
		}
		out.Accels = append(out.Accels, a)
	}
	return out
}

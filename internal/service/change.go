package service

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func (p Parts) changeMethods() map[string]rpcserver.Handler {
	return map[string]rpcserver.Handler{
		api.MethodVMSet: rpcserver.Bind(func(ctx context.Context, r api.VMSetRequest) (any, error) {
			return begun(p.Changes.Set(ctx, r.VM, change.Asked{
				CPUs: r.CPUs, MemoryBytes: r.MemoryBytes, DiskBytes: r.DiskBytes,
				Network: r.Network, Allow: r.AllowHosts, Disallow: r.DisallowHosts,
				Labels: r.Labels, Unlabel: r.Unlabel, Restart: r.Restart, Autostart: r.Autostart,
			}, r.Key))
		}),
		api.MethodVMReset: rpcserver.Bind(func(ctx context.Context, r api.VMResetRequest) (any, error) {
			return begun(p.Resets.Reset(ctx, r.VM, r.Force, time.Duration(r.TimeoutMS)*time.Millisecond, r.Key))
		}),
	}
}

// comebackFrom shows what starts a VM unasked: of one that runs, what it did.
func comebackFrom(v vm.View) *api.Comeback {
	b := v.Comeback
	if b == nil || b.Total == 0 && b.Next.IsZero() || v.Spec.Restart == spec.RestartNo && !v.Spec.Autostart {
		return nil
	}
	out := &api.Comeback{Restarts: b.Total, InRow: b.Row, NextAt: b.Next, GaveUp: b.GaveUp, Why: b.Why}
	if v.MayRun() {
		out.NextAt, out.Why = time.Time{}, ""
	}
	return out
}

package service

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// askWait is how long a guest may take to answer, unless it is said.
const askWait = 5 * time.Second

// statsWait is the same where many VMs are asked, again and again.
const statsWait = 2 * time.Second

func (p Parts) vitalMethods() map[string]rpcserver.Handler {
	m := p.VMs
	return map[string]rpcserver.Handler{
		api.MethodVMPing: rpcserver.Bind(func(ctx context.Context, r api.VMAskRequest) (any, error) {
			took, err := m.Ping(ctx, r.VM, patience(r.TimeoutMS, askWait))
			return api.VMPong{AgentMS: float64(took) / float64(time.Millisecond)}, err
		}),
		api.MethodVMHealth: rpcserver.Bind(func(ctx context.Context, r api.VMAskRequest) (any, error) {
			h, err := m.Health(ctx, r.VM, patience(r.TimeoutMS, askWait))
			return healthFrom(h), err
		}),
		api.MethodVMStats: rpcserver.Bind(func(ctx context.Context, r api.VMStatsRequest) (any, error) {
			all, err := m.Stats(ctx, r.VMs, patience(r.TimeoutMS, statsWait))
			list := api.VMStatsList{VMs: make([]api.VMStats, len(all))}
			for i, s := range all {
				list.VMs[i] = statsFrom(s)
			}
			return list, err
		}),
	}
}

// patience is how long somebody is asked to wait for another.
func patience(milliseconds int64, usual time.Duration) time.Duration {
	if milliseconds <= 0 {
		return usual
	}
	return time.Duration(min(milliseconds, maxWait.Milliseconds())) * time.Millisecond
}

func healthFrom(h wire.Health) api.VMHealth {
	return api.VMHealth{
		UptimeMS: h.UptimeMS, Load: h.Load, CPUs: h.CPUs, BusyMS: h.BusyMS, StolenMS: h.StolenMS,
		MemTotal: h.MemTotal, MemAvail: h.MemAvail, Execs: h.Execs,
		RootSize: h.RootSize, RootFree: h.RootFree, WorkSize: h.WorkSize, WorkFree: h.WorkFree,
	}
}

package service

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

func (p Parts) forwardMethods() map[string]rpcserver.Handler {
	m := p.VMs
	return map[string]rpcserver.Handler{
		api.MethodVMForwardAdd: rpcserver.Bind(func(ctx context.Context, r api.VMForwardAddRequest) (any, error) {
			return begun(m.Forward(ctx, r.VM, forwardsFrom(r.Forwards), r.Auto, r.Key))
		}),
		api.MethodVMForwardRemove: rpcserver.Bind(func(ctx context.Context, r api.VMForwardRemoveRequest) (any, error) {
			return begun(m.Unforward(ctx, r.VM, forwardsFrom(r.Forwards), r.Key))
		}),
		api.MethodVMPorts: rpcserver.Bind(func(ctx context.Context, r api.VMRef) (any, error) {
			l, err := m.Listening(ctx, r.VM)
			ports := api.VMPorts{Listeners: make([]api.Listener, len(l.Guest.All)), More: l.Guest.More, Forwards: statusesFrom(l.Forwards)}
			for i, g := range l.Guest.All {
				ports.Listeners[i] = api.Listener(g)
			}
			return ports, err
		}),
	}
}

func forwardsFrom(all []api.Forward) []forward.Forward {
	if all == nil {
		return nil
	}
	out := make([]forward.Forward, len(all))
	for i, f := range all {
		out[i] = forward.Forward(f)
	}
	return out
}

func forwardsTo(all []forward.Forward) []api.Forward {
	if all == nil {
		return nil
	}
	out := make([]api.Forward, len(all))
	for i, f := range all {
		out[i] = api.Forward(f)
	}
	return out
}

func statusesFrom(all []forward.Status) []api.ForwardStatus {
	out := make([]api.ForwardStatus, len(all))
	for i, s := range all {
		out[i] = api.ForwardStatus{
			Address: s.Address, HostPort: s.HostPort, GuestPort: s.GuestPort,
			Port: s.Port, Auto: s.Auto, Error: s.Error, Connections: s.Connections,
		}
	}
	return out
}

package service

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm"
)

func (p Parts) vmMethods() map[string]rpcserver.Handler {
	m := p.VMs
	return map[string]rpcserver.Handler{
		api.MethodVMCreateBegin: rpcserver.Bind(p.create),
		api.MethodVMStart:       rpcserver.Bind(p.start),
		api.MethodVMStop: rpcserver.Bind(func(ctx context.Context, r api.VMStopRequest) (any, error) {
			return begun(m.Stop(ctx, r.VM, time.Duration(r.TimeoutMS)*time.Millisecond, r.Key))
		}),
		api.MethodVMRestart: rpcserver.Bind(func(ctx context.Context, r api.VMStopRequest) (any, error) {
			return begun(m.Restart(ctx, r.VM, time.Duration(r.TimeoutMS)*time.Millisecond, r.Force, r.Key))
		}),
		api.MethodVMPause: rpcserver.Bind(func(ctx context.Context, r api.VMActionRequest) (any, error) {
			return begun(m.Pause(ctx, r.VM, r.Key))
		}),
		api.MethodVMResume: rpcserver.Bind(func(ctx context.Context, r api.VMActionRequest) (any, error) {
			return begun(m.Resume(ctx, r.VM, r.Key))
		}),
		api.MethodVMRename: rpcserver.Bind(func(ctx context.Context, r api.VMRenameRequest) (any, error) {
			return begun(m.Rename(ctx, r.VM, r.Name, r.Key))
		}),
		api.MethodVMKill: rpcserver.Bind(func(ctx context.Context, r api.VMActionRequest) (any, error) {
			return begun(m.Kill(ctx, r.VM, r.Key))
		}),
		api.MethodVMDelete: rpcserver.Bind(func(ctx context.Context, r api.VMDeleteRequest) (any, error) {
			return begun(m.Delete(ctx, r.VM, r.Force, r.Key))
		}),
		api.MethodVMList: rpcserver.Bind(func(ctx context.Context, r api.VMListRequest) (any, error) {
			views, err := m.List(ctx, r.All, r.Labels...)
			list := api.VMList{VMs: make([]api.VM, len(views))}
			for i, v := range views {
				list.VMs[i] = vmFrom(v)
			}
			return list, err
		}),
		api.MethodVMInspect: rpcserver.Bind(p.inspect),
		api.MethodVMSSH: rpcserver.Bind(func(ctx context.Context, r api.VMSSHRequest) (any, error) {
			ssh, err := m.SSH(ctx, r.VM)
			return api.VMSSH{Config: ssh.Config, Zone: ssh.Zone, Host: ssh.Host}, err
		}),
		api.MethodVMLogs: rpcserver.Bind(p.logs),
		api.MethodVMConnect: rpcserver.Bind(func(ctx context.Context, r api.VMConnectRequest) (any, error) {
			connect := func() (vm.View, error) {
				return m.Connect(ctx, r.VM, min(time.Duration(r.WaitMS)*time.Millisecond, maxWait))
			}
			if r.Again {
				connect = func() (vm.View, error) { return m.Reconnect(ctx, r.VM) }
			}
			v, err := connect()
			if err != nil {
				return nil, err
			}
			return api.VMEndpoint{
				ID: v.ID, Name: v.Spec.Name, User: v.User, Socket: p.MonitorSocket(v.Dir), BootID: v.Live.BootID,
			}, nil
		}),
	}
}

func begun(r operation.Record, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return operationFrom(r), nil
}

func specFrom(s api.VMSpec) spec.VM {
	return spec.VM{
		Name: s.Name, Image: s.Image, Kernel: s.Kernel, CPUs: s.CPUs, MemoryBytes: s.MemoryBytes, DiskBytes: s.DiskBytes,
		DiskDriver: s.DiskDriver, Network: s.Network, AllowHosts: s.AllowHosts, VMM: s.VMM, Accel: vmm.Accel(s.Accel),
		Labels: s.Labels, AutoRemove: s.AutoRemove, Restart: spec.Restart(s.Restart), Autostart: s.Autostart,
		Forwards: forwardsFrom(s.Forwards), AutoForward: s.AutoForward,
	}
}

func vmFrom(v vm.View) api.VM {
	s := v.Spec
	out := api.VM{
		ID: v.ID, Name: s.Name, State: api.State(v.State), Reason: v.Reason, ImageID: v.ImageID, KernelID: v.KernelID,
		User: v.User, CreatedAt: v.CreatedAt, Dir: v.Dir, Operation: v.Operation,
		VMMWhy: v.Choice.Why, Isolation: v.Isolation, Reduced: v.Reduced, Reaches: v.Reaches, Forwards: statusesFrom(v.Forwards),
		Spec: api.VMSpec{
			Name: s.Name, Image: s.Image, Kernel: s.Kernel, CPUs: s.CPUs, MemoryBytes: s.MemoryBytes, DiskBytes: s.DiskBytes,
			DiskDriver: s.DiskDriver, Network: s.Network, AllowHosts: s.AllowHosts, VMM: s.VMM, Accel: string(s.Accel),
			Labels: s.Labels, AutoRemove: s.AutoRemove, Restart: string(s.Restart), Autostart: s.Autostart,
			Forwards: forwardsTo(s.Forwards), AutoForward: s.AutoForward,
		},
		Pending: v.Pending, Comeback: comebackFrom(v),
	}
	if v.Boot != nil {
		out.Boot = bootFrom(v)
	}
	if v.Live != nil && v.Live.Network != nil {
		out.Refused = refusedFrom(*v.Live.Network)
	}
	return out
}

func refusedFrom(r network.Report) *api.VMRefused {
	out := &api.VMRefused{}
	for _, c := range r.Refused {
		out.Counts = append(out.Counts, api.RefusedCount{Why: c.Why, Count: c.Count})
	}
	for _, a := range r.Last {
		out.Last = append(out.Last, api.RefusedAttempt{At: a.At, Protocol: a.Protocol, To: a.To, Why: a.Why})
	}
	return out
}

// bootFrom shows what is known live, or was last.
func bootFrom(v vm.View) *api.Boot {
	b := &api.Boot{
		ID: v.Boot.ID, VMM: v.Boot.VMM, Accel: string(v.Spec.Accel), StartedAt: v.Boot.StartedAt,
		Timings: api.Timings{DiskMS: v.DiskMS},
	}
	if shape := v.Boot.Shape; shape != nil {
		b.CPUs, b.MemoryBytes, b.DiskBytes = shape.CPUs, shape.MemoryBytes, shape.DiskBytes
		b.Network, b.AllowHosts = shape.Network, shape.AllowHosts
	}
	if b.VMM == "" { // of a boot from before this was kept
		b.VMM = v.Spec.VMM
	}
	status := v.Live
	if status == nil {
		status = v.Boot.Status
	} else {
		b.VMMPID, b.MonitorPID, b.Units = status.VMM.PID, status.MonitorPID, status.Units
	}
	if status != nil {
		fillBoot(b, *status)
	}
	if e := v.Boot.Exit; e != nil {
		b.EndedAt, b.ExitReason = e.At, vm.ExitSentence(*e)
	}
	return b
}

func fillBoot(b *api.Boot, s machine.Status) {
	b.GuestBoot, b.Kernel, b.Agent = s.Guest.BootID, s.Guest.Kernel, s.Guest.Version
	b.VMMVersion, b.Accel = s.VMM.Version, string(s.VMM.Accel)
	t := &b.Timings
	t.SpawnMS, t.KernelMS, t.AgentReadyMS, t.SystemReadyMS = s.SpawnMS, s.Guest.InitMS, s.ReadyMS, s.SystemMS
	if s.Guest.AgentMS > s.Guest.InitMS {
		t.InitMS = s.Guest.AgentMS - s.Guest.InitMS
	}
}

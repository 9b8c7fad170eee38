// Package service is the edge between the wire and the rooms: it decodes and
// validates requests, calls the use cases, and turns records and faults into
// api types. It decides nothing itself.
package service

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/auth"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/reset"
	"github.com/banger-vm/banger/internal/vmm/install"
)

// maxWait bounds every long poll.
const maxWait = time.Minute

// Daemon is what the daemon itself answers.
type Daemon interface {
	Status(ctx context.Context) (api.DaemonStatus, error)
	Stop()
}

// Parts are the use cases behind the methods.
type Parts struct {
	Daemon        Daemon
	VMs           *vm.Manager
	Auth          *auth.Keeper
	Changes       *change.Changer
	Resets        *reset.Resetter
	Images        *image.Registry
	Kernels       *registry.Registry
	Operations    *operation.Registry
	Events        *event.Log
	VMMs          VMMs
	Installs      *install.Registry
	MonitorSocket func(dir string) string
}

// Methods are the handlers of all methods of the daemon.
func Methods(p Parts) map[string]rpcserver.Handler {
	all := map[string]rpcserver.Handler{
		api.MethodDaemonStatus: rpcserver.Bind(func(ctx context.Context, _ api.Empty) (any, error) { return p.Daemon.Status(ctx) }),
		api.MethodDaemonInfo:   rpcserver.Bind(p.info),
		api.MethodDaemonStop: rpcserver.Bind(func(context.Context, api.Empty) (any, error) {
			p.Daemon.Stop()
			return api.Empty{}, nil
		}),
	}
	for _, part := range []map[string]rpcserver.Handler{p.vmMethods(), p.changeMethods(), p.vitalMethods(), p.forwardMethods(), p.authMethods(), p.imageMethods(), p.kernelMethods(), p.vmmMethods(), p.operationMethods()} {
		for name, h := range part {
			all[name] = h
		}
	}
	return all
}

func wait(milliseconds int64) time.Duration {
	d := time.Duration(milliseconds) * time.Millisecond
	if d <= 0 || d > maxWait {
		return maxWait
	}
	return d
}

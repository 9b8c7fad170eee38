package client

import (
	"context"
	"net"
	"sync"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// Exec starts a command in a running VM. Its stream goes to the VM's monitor;
// when that or the daemon is killed, the stream goes on with the next one.
func (c *Client) Exec(ctx context.Context, vm string, spec api.ExecSpec, cfg ExecConfig) (*Exec, error) {
	return StartExec(ctx, c.monitorDialer(vm), NewExecID(), spec, cfg)
}

// ExecAttach attaches to a command of a running VM by its ID.
func (c *Client) ExecAttach(ctx context.Context, vm, id string, cfg ExecConfig) (*Exec, error) {
	return AttachExec(ctx, c.monitorDialer(vm), id, cfg)
}

// monitorDialer connects to the monitor of the boot that vm is in at first:
// what ran in it is not in the next one.
func (c *Client) monitorDialer(vm string) ExecDialer {
	var mu sync.Mutex // leaf: guards known
	var known *api.VMEndpoint
	return func(ctx context.Context) (net.Conn, error) {
		mu.Lock()
		first := known
		mu.Unlock()
		ref := vm
		if first != nil {
			ref = first.ID // the name may be another VM's by now
		}
		now, err := c.VMConnect(ctx, ref)
		switch {
		case err != nil && first != nil && api.KindOf(err) == api.KindUnavailable:
			return rpc.Dial(ctx, first.Socket) // the daemon is away, the monitor need not be
		case err != nil:
			return nil, err
		case first != nil && now.BootID != first.BootID:
			return nil, api.NewError(api.KindNotFound, "the VM "+now.Name+" was restarted", "")
		}
		mu.Lock()
		known = &now
		mu.Unlock()
		return rpc.Dial(ctx, now.Socket)
	}
}

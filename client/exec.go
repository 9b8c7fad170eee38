package client

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// Exec starts a command in a running VM, or in one that is on the way (then the
// command runs as soon as the guest can run any). Its stream goes to the VM's monitor;
// when that or the daemon is killed, the stream goes on with the next one.
func (c *Client) Exec(ctx context.Context, vm string, spec api.ExecSpec, cfg ExecConfig) (*Exec, error) {
	connect := c.VMConnect
	if cfg.Await {
		connect = c.vmAwait
	}
	at, err := connect(ctx, vm)
	if err != nil {
		return nil, err
	}
	return StartExec(ctx, c.monitorDialer(at), NewExecID(), spec, cfg)
}

// vmAwait is VMConnect for a VM that is being made or started, by its ID.
func (c *Client) vmAwait(ctx context.Context, id string) (api.VMEndpoint, error) {
	for {
		at, err := get[api.VMEndpoint](ctx, c, api.MethodVMConnect, api.VMConnectRequest{VM: id, WaitMS: time.Minute.Milliseconds()})
		var late *api.Error
		if !errors.As(err, &late) || late.Kind != api.KindUnavailable || late.Operation == "" {
			return at, err
		}
	}
}

// vmConnectAgain is VMConnect for a stream that there was.
func (c *Client) vmConnectAgain(ctx context.Context, id string) (api.VMEndpoint, error) {
	at, err := get[api.VMEndpoint](ctx, c, api.MethodVMConnect, api.VMConnectRequest{VM: id, Again: true})
	if api.KindOf(err) == api.KindInvalid { // an older daemon does not know the word
		return c.VMConnect(ctx, id)
	}
	return at, err
}

// ExecAttach attaches to a command of a running VM by its ID.
func (c *Client) ExecAttach(ctx context.Context, vm, id string, cfg ExecConfig) (*Exec, error) {
	at, err := c.VMConnect(ctx, vm)
	if err != nil {
		return nil, err
	}
	return AttachExec(ctx, c.monitorDialer(at), id, cfg)
}

// monitorDialer connects to the monitor of the VM and boot that were found: what
// runs in them is nowhere else.
func (c *Client) monitorDialer(at api.VMEndpoint) ExecDialer {
	fresh := true
	return func(ctx context.Context) (net.Conn, error) {
		if fresh {
			fresh = false
			return rpc.Dial(ctx, at.Socket)
		}
		// The daemon brings a monitor back that was killed.
		now, err := c.vmConnectAgain(ctx, at.ID)
		switch {
		case err == nil && now.BootID != at.BootID:
			return nil, api.NewError(api.KindNotFound, "the VM "+at.Name+" was restarted", "")
		case err != nil && api.KindOf(err) != api.KindUnavailable:
			return nil, err
		case err == nil:
			at = now
		} // else the daemon is away, and the monitor need not be
		return rpc.Dial(ctx, at.Socket)
	}
}

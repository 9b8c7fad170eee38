package client

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
)

// LogsConfig says which part of a console is wanted.
type LogsConfig struct {
	Since  time.Time // zero: all that is kept
	Tail   *int      // only the last lines; nil: all
	Follow bool      // go on as the guest says more, until the VM is deleted
}

// VMLogs asks once for a part of what a VM's guest said; see Logs.
func (c *Client) VMLogs(ctx context.Context, req api.VMLogsRequest) (api.VMLogs, error) {
	return get[api.VMLogs](ctx, c, api.MethodVMLogs, req)
}

// Logs calls f with what a VM's guest said on its console, part by part, over
// starts and ends of the VM, until f returns an error. Where a part's Offset is
// greater than the Next before it, what lay between was dropped. Following ends
// without an error when the VM is deleted.
func (c *Client) Logs(ctx context.Context, vm string, cfg LogsConfig, f func(api.VMLogs) error) error {
	part, err := c.VMLogs(ctx, api.VMLogsRequest{VM: vm, Since: cfg.Since, Tail: cfg.Tail})
	if err != nil {
		return err
	}
	id, end := part.ID, part.End
	for {
		if err := f(part); err != nil {
			return err
		}
		if !cfg.Follow && (part.Next >= end || len(part.Data) == 0) {
			return nil
		}
		req := api.VMLogsRequest{VM: id, Offset: &part.Next}
		if cfg.Follow {
			req.WaitMS = followWait.Milliseconds()
		}
		next, err := c.VMLogs(ctx, req)
		if cfg.Follow && api.KindOf(err) == api.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		part = next
	}
}

const followWait = time.Minute

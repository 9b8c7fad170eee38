package client

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
)

// unwatched is how long an operation may take before anybody wants to know how far
// it is: each answer costs the daemon and the client more than a small step does.
const unwatched = 300 * time.Millisecond

// WaitOperation waits until an operation has ended, over restarts of the
// daemon too, and tells progress (which may be nil) of the states it sees. It
// returns the operation's error if it failed or was cancelled. When ctx ends
// it stops waiting; the operation goes on.
func (c *Client) WaitOperation(ctx context.Context, id string, progress func(api.Operation)) (api.Operation, error) {
	req := api.OpWaitRequest{ID: id, Ended: true}
	if progress != nil {
		req.WaitMS = unwatched.Milliseconds()
	}
	for {
		op, err := c.OpWait(ctx, req)
		if err != nil {
			return op, err
		}
		if progress != nil {
			progress(op)
			req = api.OpWaitRequest{ID: id}
		}
		if op.State.Final() {
			return op, OperationError(op)
		}
	}
}

// OperationError returns why an operation that has ended did not succeed.
func OperationError(op api.Operation) error {
	switch {
	case op.State == api.OpSucceeded || !op.State.Final():
		return nil
	case op.Error != nil:
		e := *op.Error
		e.Operation = op.ID
		return &e
	case op.State == api.OpCanceled:
		return &api.Error{Kind: api.KindCanceled, Message: op.Kind + " of " + op.Name + " was cancelled", Operation: op.ID}
	}
	return &api.Error{Kind: api.KindInternal, Message: op.Kind + " of " + op.Name + " failed and does not say why", Operation: op.ID}
}

// Events calls f with every event after the sequence number since (-1: those
// from now on), of one target if that is given, until f returns an error or
// ctx ends. Where events may be missing it tells gap, which may be nil.
func (c *Client) Events(ctx context.Context, since int64, target string, gap func(), f func(api.Event) error) error {
	for {
		batch, err := c.EventWatch(ctx, api.EventWatchRequest{Since: since, Target: target})
		if err != nil {
			return err
		}
		if batch.Gap && gap != nil {
			gap()
		}
		for _, e := range batch.Events {
			if err := f(e); err != nil {
				return err
			}
		}
		since = int64(batch.Last)
		if n := len(batch.Events); n > 0 { // there may be more than one answer holds
			since = int64(batch.Events[n-1].Seq)
		}
	}
}

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// action is a long action as a command carries it out.
type action struct {
	begin func(ctx context.Context, c *client.Client) (api.Operation, error)
	// cancel takes the action back on Ctrl-C; otherwise the daemon goes on
	// with it alone.
	cancel bool
	quiet  bool // no progress
}

// outcome is how an action ended.
type outcome struct {
	op  api.Operation
	err error
}

// operate begins an action and waits for its end. Interrupted, it returns
// errInterrupted once the action is taken back; a second signal does not wait
// for that. An action that was done before it could be taken back is success.
func (a *app) operate(ctx context.Context, act action) (api.Operation, error) {
	c, err := a.client()
	if err != nil {
		return api.Operation{}, err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()

	began := make(chan api.Operation, 1)
	updates := make(chan api.Operation)
	ended := make(chan outcome, 1)
	go func() { ended <- follow(ctx, c, act, began, updates) }()

	progress := a.progress()
	defer progress.Clear()
	w := waiter{app: a, act: act, ctx: ctx, c: c, clear: progress.Clear}
	for {
		select {
		case op := <-began:
			w.id = op.ID
			w.cancelBegun()
		case op := <-updates:
			if !act.quiet {
				progress.Update(op)
			}
		case <-signals:
			if w.interrupted || (w.id != "" && !act.cancel) {
				progress.Clear()
				if w.id != "" {
					a.say("the daemon goes on with it; see: banger op show %s", short(w.id))
				}
				return api.Operation{}, errInterrupted
			}
			w.interrupted, a.interrupted = true, true
			w.cancelBegun()
		case o := <-ended:
			if w.interrupted && o.op.State != api.OpSucceeded {
				return o.op, errInterrupted
			}
			return o.op, o.err
		}
	}
}

func follow(ctx context.Context, c *client.Client, act action, began, updates chan<- api.Operation) outcome {
	op, err := act.begin(ctx, c)
	if err != nil {
		return outcome{op, err}
	}
	if op.State.Final() {
		return outcome{op, client.OperationError(op)}
	}
	began <- op
	op, err = c.WaitOperation(ctx, op.ID, func(op api.Operation) {
		select {
		case updates <- op:
		case <-ctx.Done():
		}
	})
	return outcome{op, err}
}

// waiter cancels an operation once it is known and an interrupt has come, in
// whatever order.
type waiter struct {
	*app
	act         action
	ctx         context.Context
	c           *client.Client
	clear       func()
	id          string
	interrupted bool
}

func (w *waiter) cancelBegun() {
	if !w.interrupted || w.id == "" || !w.act.cancel {
		return
	}
	w.clear()
	w.say("taking it back; once more to leave that to the daemon")
	go func() {
		if _, err := w.c.OpCancel(w.ctx, w.id); err != nil && w.ctx.Err() == nil {
			w.tell(err, "")
		}
	}()
}

// short is the part of an ID that people see.
func short(id string) string { return id[:min(len(id), 12)] }

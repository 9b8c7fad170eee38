package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/show"
)

// Begin begins a long action at the daemon.
type Begin func(ctx context.Context, c *client.Client) (api.Operation, error)

// Action is a long action as a command carries it out.
type Action struct {
	Begin Begin
	// Cancel takes the action back on Ctrl-C; otherwise the daemon goes on
	// with it alone.
	Cancel bool
	How    Waiting
	// Tell tells of each thing that was acted on, before its name is printed,
	// unless all is to be quiet; nil for nothing.
	Tell func(ctx context.Context, a *App, ref string)
	// TellOf is Tell of what the operation says of itself.
	TellOf func(a *App, name string, op api.Operation)
}

// outcome is how an action ended.
type outcome struct {
	op  api.Operation
	err error
}

// Do carries an action out and calls done at its success; without --wait it
// prints the operation's ID instead.
func (a *App) Do(ctx context.Context, act Action, done func(api.Operation) error) error {
	if err := act.How.check(); err != nil {
		return err
	}
	if act.How.wait {
		op, err := a.Operate(ctx, act)
		if err != nil {
			return err
		}
		return done(op)
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	op, err := act.Begin(ctx, c)
	if err != nil {
		return err
	}
	return a.Line(op.ID)
}

// Operate begins an action and waits for its end. Interrupted, it returns
// ErrInterrupted once the action is taken back; a second signal does not wait
// for that. An action that was done before it could be taken back is success.
func (a *App) Operate(ctx context.Context, act Action) (api.Operation, error) {
	c, err := a.Client()
	if err != nil {
		return api.Operation{}, err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()

	w := waiter{
		App: a, act: act, ctx: ctx, c: c, progress: a.Progress(),
		began: make(chan api.Operation, 1), updates: make(chan api.Operation), ended: make(chan outcome, 1),
	}
	defer w.progress.Clear()
	go func() { w.ended <- w.follow() }()
	return w.wait(signals)
}

// waiter waits for an operation, and cancels it once it is known and an
// interrupt has come, in whatever order.
type waiter struct {
	*App
	act      Action
	ctx      context.Context
	c        *client.Client
	progress *show.Progress
	id       string
	stopped  bool // by an interrupt

	began, updates chan api.Operation
	ended          chan outcome
}

func (w *waiter) follow() outcome {
	op, err := w.act.Begin(w.ctx, w.c)
	if err != nil {
		return outcome{op, err}
	}
	if op.State.Final() {
		return outcome{op, client.OperationError(op)}
	}
	w.began <- op
	var tell func(api.Operation)
	if !w.act.How.Quiet {
		tell = func(op api.Operation) {
			select {
			case w.updates <- op:
			case <-w.ctx.Done():
			}
		}
	}
	op, err = w.c.WaitOperation(w.ctx, op.ID, tell)
	return outcome{op, err}
}

func (w *waiter) wait(signals <-chan os.Signal) (api.Operation, error) {
	limit := w.act.How.limit()
	for {
		select {
		case op := <-w.began:
			w.id = op.ID
			w.cancelBegun()
		case op := <-w.updates:
			w.progress.Update(op)
		case <-limit:
			return api.Operation{}, w.act.How.tooLong(w.id)
		case <-signals:
			if w.stopped || (w.id != "" && !w.act.Cancel) {
				w.leave()
				return api.Operation{}, ErrInterrupted
			}
			w.stopped, w.Interrupted = true, true
			w.cancelBegun()
		case o := <-w.ended:
			if w.stopped && o.op.State != api.OpSucceeded {
				return o.op, ErrInterrupted
			}
			return o.op, o.err
		}
	}
}

func (w *waiter) leave() {
	w.progress.Clear()
	if w.id != "" {
		w.Say("the daemon goes on with it; see: banger op show %s", show.Short(w.id))
	}
}

func (w *waiter) cancelBegun() {
	if !w.stopped || w.id == "" || !w.act.Cancel {
		return
	}
	w.progress.Clear()
	w.Say("taking it back; once more to leave that to the daemon")
	go func() {
		if _, err := w.c.OpCancel(w.ctx, w.id); err != nil && w.ctx.Err() == nil {
			w.Tell(err, "")
		}
	}()
}

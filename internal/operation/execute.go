package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

// execute runs the operation to its end, or to the registry's.
func (u *run) execute() {
	var err error
	if u.snapshot().State == Running {
		err = u.forward()
		if err == nil && u.succeed() {
			return
		}
		if u.shutdown() {
			// What is journaled is what the next daemon starts from.
			if err := u.save(); err != nil {
				u.log.Warn("an interrupted operation could not be stored", "err", err)
			}
			u.log.Info("interrupted by the daemon's end")
			return
		}
	}
	u.giveUp(err)
	undoErr := u.backward()
	if u.shutdown() {
		u.log.Info("undoing interrupted by the daemon's end")
		return
	}
	u.fail(undoErr)
}

func (u *run) shutdown() bool { return u.r.life.Err() != nil }

// forward does what is not done yet. Each write of the journal says that a
// step is done and that the next one starts: n steps cost n+1 writes.
func (u *run) forward() error {
	for i, step := range u.plan.Steps {
		if err := u.ctx.Err(); err != nil {
			return context.Cause(u.ctx)
		}
		switch u.stepState(i) {
		case StepDone:
			continue
		case StepStarted: // by Begin, or by a daemon that is gone
			if done, err := u.alreadyDone(step); err != nil {
				return err
			} else if done {
				u.setStep(i, StepDone, 0)
				continue
			}
			u.report(Progress{Phase: step.Name})
		default:
			if !u.stepStarted(i) {
				return errCanceled
			}
			if err := u.save(); err != nil {
				u.setStep(i, StepPending, -1)
				return err
			}
		}
		if err := u.do(i, step); err != nil {
			return err
		}
		if u.wasAsked() {
			if _, err := u.requestCancel(); err != nil {
				u.log.Error("a cancel could not be stored", "err", err)
			}
		}
	}
	return nil
}

func (u *run) do(i int, step Step) error {
	u.pass(step, Starting)
	start := time.Now()
	err := guard(u, "step "+step.Name, func() error { return step.Do(u.ctx, u.report) })
	state := StepDone
	switch {
	case err != nil && u.ctx.Err() != nil:
		state = StepStarted // interrupted, whatever it says
	case err != nil:
		u.log.Error("step failed", "step", step.Name, "err", err)
		state = StepFailed
	}
	took := time.Since(start)
	u.pass(step, Acted)
	u.setStep(i, state, took)
	u.log.Debug("step", "step", step.Name, "state", state, "ms", took.Milliseconds())
	return err
}

// wasAsked reports whether a cancel has waited for the end of a step.
func (u *run) wasAsked() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	asked := u.later
	u.later = false
	return asked
}

func (u *run) pass(step Step, at Instant) {
	u.r.cfg.Pass(Moment{Kind: u.rec.Kind, Target: u.rec.Target, Step: step.Name, At: at})
}

// alreadyDone asks a step that an earlier daemon had started.
func (u *run) alreadyDone(step Step) (done bool, err error) {
	if step.Done == nil || u.rec.Resumed == 0 {
		return false, nil
	}
	err = guard(u, "the check of step "+step.Name, func() error {
		done, err = step.Done(u.ctx)
		return err
	})
	return done, err
}

// succeed ends the operation, unless it was cancelled at the last moment.
func (u *run) succeed() bool {
	var result json.RawMessage
	if u.plan.Result != nil {
		err := guard(u, "the result of "+u.rec.Kind, func() (err error) {
			result, err = json.Marshal(u.plan.Result())
			return err
		})
		if err != nil {
			u.giveUp(err)
			return false
		}
	}
	return u.end(Running, func(rec *Record) {
		rec.State, rec.Result = Succeeded, result
		u.log.Info("succeeded", "ms", time.Since(rec.StartedAt).Milliseconds())
	})
}

// giveUp turns a running operation to undoing; err is why.
func (u *run) giveUp(err error) {
	var failed bool
	u.update(func(rec *Record) {
		if failed = rec.State == Running; failed {
			rec.State, rec.Error = Canceling, stored(err, rec.ID)
		}
	})
	if failed && u.anyUndo() {
		if err := u.save(); err != nil {
			u.log.Error("a failed operation could not be stored", "err", err)
		}
	}
	u.cancel(errCanceled) // what a step left running in the background ends too
}

// backward undoes every step that was started, the last one first, and goes
// on where one cannot be undone.
func (u *run) backward() error {
	var errs []error
	dirty := false
	for i := len(u.plan.Steps) - 1; i >= u.kept() && !u.shutdown(); i-- {
		step, state := u.plan.Steps[i], u.stepState(i)
		if !undoable(step, state) {
			continue
		}
		if dirty {
			if err := u.save(); err != nil {
				u.log.Warn("an undone step could not be stored", "err", err)
			}
		}
		u.pass(step, Undoing)
		ctx, cancel := context.WithTimeout(u.r.life, u.r.cfg.UndoTimeout)
		err := guard(u, "undoing "+step.Name, func() error { return step.Undo(ctx) })
		cancel()
		u.pass(step, Reversed)
		if err != nil {
			u.log.Error("a step could not be undone", "step", step.Name, "err", err)
			errs = append(errs, fmt.Errorf("%s: %w", step.Name, err))
			continue
		}
		if state != StepFailed { // which one failed stays visible
			u.setStep(i, StepUndone, -1)
		}
		dirty = true
	}
	return errors.Join(errs...)
}

func undoable(step Step, state StepState) bool {
	return step.Undo != nil && (state == StepStarted || state == StepDone || state == StepFailed)
}

// kept is the number of steps at the beginning that stay done.
func (u *run) kept() int {
	for i := len(u.plan.Steps) - 1; i >= 0; i-- {
		if u.plan.Steps[i].Keep && u.stepState(i) == StepDone {
			return i + 1
		}
	}
	return 0
}

func (u *run) anyUndo() bool {
	kept := u.kept()
	for i, step := range u.plan.Steps {
		if i >= kept && undoable(step, u.stepState(i)) {
			return true
		}
	}
	return false
}

// fail ends an operation that was undone, as far as that went.
func (u *run) fail(undoErr error) {
	rec := u.snapshot()
	why := *rec.Error
	if undoErr != nil {
		why.Message += "; and what was done could not be taken back whole: " + undoErr.Error()
	}
	if u.plan.Fail != nil {
		ctx, cancel := context.WithTimeout(u.r.life, u.r.cfg.UndoTimeout)
		defer cancel()
		if err := guard(u, "the failure hook", func() error { u.plan.Fail(ctx, &why); return nil }); err != nil {
			why.Message += "; " + err.Error()
		}
		if u.shutdown() {
			return // perhaps the hook was cut off: the next daemon tells it again
		}
	}
	u.end(Canceling, func(rec *Record) {
		rec.State, rec.Error = Failed, &why
		if why.Kind == fault.Canceled && undoErr == nil {
			rec.State = Canceled
		}
		u.log.Info("ended", "state", rec.State, "err", why.Message)
	})
}

// stored is err as a record keeps it. Canceled is kept for what a user
// cancelled.
func stored(err error, id string) *fault.Error {
	if err == nil {
		err = errors.New("it failed without saying why")
	}
	f := fault.From(err)
	if f.Kind == fault.Canceled {
		f.Kind = fault.Internal
	}
	f.Operation, f.Err = id, nil
	return f
}

func (u *run) stepState(i int) StepState {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rec.Steps[i].State
}

// stepStarted begins a step, unless a cancel came first: once a Final step has
// begun, a cancel is refused, so one that was accepted must keep it from beginning.
func (u *run) stepStarted(i int) (started bool) {
	u.update(func(rec *Record) {
		if started = rec.State == Running; started && i < len(rec.Steps) {
			rec.Steps[i].State = StepStarted
			rec.Progress = Progress{Phase: rec.Steps[i].Name}
		}
	})
	return started
}

// setStep sets a step's state; a negative time leaves its time.
func (u *run) setStep(i int, state StepState, took time.Duration) {
	u.update(func(rec *Record) {
		rec.Steps[i].State = state
		if took >= 0 {
			rec.Steps[i].MS = float64(took.Microseconds()) / 1000
		}
	})
}

func guard(u *run, what string, f func() error) (err error) {
	defer catch(u.log, what, &err)
	return f()
}

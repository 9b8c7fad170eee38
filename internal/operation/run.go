package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
)

// run is an operation while it runs in this process.
type run struct {
	r      *Registry
	plan   Plan
	log    *slog.Logger
	ctx    context.Context // of the steps' Do; ends on cancel and on Close
	cancel context.CancelCauseFunc

	done    chan struct{} // closed once it has ended or was interrupted
	dirty   chan struct{} // holds one: there is something to tell
	saving  chan struct{} // holds one while the journal is written, so that writes keep their order
	unsaved bool          // its end could not be stored; only its own goroutine looks

	mu      sync.Mutex // leaf
	later   bool       // a cancel waits for the end of a step
	rec     Record
	final   *Record // the end, from the moment it is decided; rec once it is stored
	changed chan struct{}
}

func (r *Registry) newRun(rec Record, plan Plan) *run {
	u := &run{
		r: r, plan: plan, rec: rec,
		log:     r.log.With("op", rec.ID, "kind", rec.Kind, "target", rec.Target),
		done:    make(chan struct{}),
		dirty:   make(chan struct{}, 1),
		saving:  make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	u.ctx, u.cancel = context.WithCancelCause(r.life)
	return u
}

func (u *run) snapshot() Record {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rec.clone()
}

// save writes the newest state to the journal. It does not end with the
// operation: what has happened must be stored.
func (u *run) save() error {
	u.saving <- struct{}{}
	defer func() { <-u.saving }()
	u.mu.Lock()
	rec := u.rec.clone()
	if u.final != nil {
		rec = u.final.clone()
	}
	u.mu.Unlock()
	if err := u.r.journal.UpdateOperation(context.WithoutCancel(u.ctx), rec); err != nil {
		return fmt.Errorf("the operation could not be stored: %w", err)
	}
	return nil
}

// update changes the record and tells those who watch.
func (u *run) update(change func(*Record)) {
	u.mu.Lock()
	if u.final == nil {
		change(&u.rec)
	}
	u.mu.Unlock()
	select {
	case u.dirty <- struct{}{}:
	default:
	}
}

func (u *run) report(p Progress) { u.update(func(rec *Record) { rec.Progress = p }) }

// requestCancel stores that the operation is to be undone, and interrupts it.
func (u *run) requestCancel() (Record, error) {
	var asked, final, later bool
	u.update(func(rec *Record) {
		final = rec.State == Running && u.isFinal(rec)
		later = final && u.inKept(rec)
		u.later = u.later || later
		if asked = rec.State == Running && !final; asked {
			rec.State = Canceling
			rec.Error = &fault.Error{Kind: fault.Canceled, Message: rec.Kind + " was cancelled", Operation: rec.ID}
		}
	})
	if later { // what comes after this step is not to begin, or to be taken back
		return u.snapshot(), nil
	}
	if final {
		rec := u.snapshot()
		return rec, fault.New(fault.Precondition, "Wait for it with: banger op show "+rec.ID+".",
			"%s has gone too far to be cancelled", rec.Kind)
	}
	if !asked {
		return u.snapshot(), nil
	}
	u.log.Info("cancelling")
	u.cancel(errCanceled)
	err := u.save()
	return u.snapshot(), err
}

// isFinal reports whether a step of no return has begun.
func (u *run) isFinal(rec *Record) bool {
	for i, step := range u.plan.Steps {
		if !step.Final || i >= len(rec.Steps) {
			continue
		}
		if s := rec.Steps[i].State; s == StepStarted || s == StepDone && !step.Keep {
			return true
		}
	}
	return false
}

// inKept reports whether the step of no return that has begun is one after which
// there is something to be cancelled.
func (u *run) inKept(rec *Record) bool {
	for i, step := range u.plan.Steps {
		if i < len(rec.Steps) && rec.Steps[i].State == StepStarted {
			return step.Final && step.Keep && i < len(u.plan.Steps)-1
		}
	}
	return false
}

// end decides how the operation ends, unless a cancel came first.
func (u *run) end(from State, change func(*Record)) bool {
	u.mu.Lock()
	if u.rec.State != from {
		u.mu.Unlock()
		return false
	}
	final := u.rec.clone()
	change(&final)
	final.EndedAt = u.r.cfg.Now()
	u.final = &final
	u.mu.Unlock()
	if err := u.save(); err != nil {
		u.unsaved = true // served from memory; the next daemon runs the last step again
		u.log.Error("the end of the operation could not be stored", "state", final.State, "err", err)
	}
	return true
}

// reveal shows the end that was decided. It comes after the claim's release,
// so that whoever sees the end can begin the next operation.
func (u *run) reveal() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.final != nil {
		u.rec = *u.final
	}
}

// tell publishes progress, at most once in ProgressEvery, until stop.
func (u *run) tell(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-u.dirty:
		}
		u.mu.Lock()
		close(u.changed)
		u.changed = make(chan struct{})
		u.mu.Unlock()
		u.publish("op.progress")
		select {
		case <-stop:
			return
		case <-time.After(u.r.cfg.ProgressEvery):
		}
	}
}

func (u *run) nextChange() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changed
}

// interrupted is the error for those who waited for an operation that the
// daemon's end interrupted.
func (u *run) interrupted() error {
	if u.snapshot().State.Final() {
		return nil
	}
	return fault.New(fault.Unavailable, "It goes on when the daemon is back.", "%w", errShutdown)
}

func (u *run) publish(kind string) {
	rec := u.snapshot()
	msg := fmt.Sprintf("%s: %s", rec.Kind, rec.State)
	if rec.Error != nil && rec.State.Final() {
		msg += ": " + rec.Error.Message
	}
	u.r.events.Publish(event.Event{
		Time: u.r.cfg.Now(), Type: kind, Target: "op/" + rec.ID, Name: rec.Name,
		Message: msg, Data: rec, Transient: kind == "op.progress",
	})
}

// EventData decodes the data of an op.* event that was kept over a restart.
func EventData(eventType string, raw json.RawMessage) any {
	var rec Record
	if err := json.Unmarshal(raw, &rec); err != nil || rec.ID == "" {
		return nil
	}
	return rec
}

// catch turns a panic into an error: one bad step must not end the daemon.
func catch(log *slog.Logger, what string, err *error) {
	if p := recover(); p != nil {
		log.Error("panic", "in", what, "panic", p, "stack", string(debug.Stack()))
		*err = errors.Join(*err, fmt.Errorf("%s panicked: %v", what, p))
	}
}

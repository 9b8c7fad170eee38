// Package operation runs long actions: each is a persisted list of named
// steps, begun, watched, cancelled, and after a crash resumed or rolled back.
//
// The journal is the truth: that a step starts is stored before it acts, and
// that it is done after. Nothing else in banger undoes anything.
package operation

import (
	"context"
	"encoding/json"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

// Step is one named piece of a long action. A step may run again after a crash
// at any instant, so Do must be idempotent or Done must tell.
type Step struct {
	Name string
	// Done reports whether the step's effect is there already; nil means: run
	// Do again after a crash.
	Done func(ctx context.Context) (bool, error)
	Do   func(ctx context.Context, report Report) error
	// Undo takes the effect back, whole or partial, or not there at all; nil
	// where there is nothing to take back. Its context is not cancelled with
	// the operation's.
	Undo func(ctx context.Context) error
	// Keep: once this step is done, it and those before it stay, whatever
	// comes after; a failure or a cancel takes back only what came later.
	Keep bool
	// Final: from this step on the operation only goes forward; a cancel is
	// refused, because what the step destroys cannot be brought back.
	Final bool
}

// Report publishes progress; it never blocks.
type Report func(Progress)

// Progress is how far an operation is. Total 0 is unknown; Unit is "bytes",
// "packages", "steps" and the like.
type Progress struct {
	Phase string `json:"phase"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"`
}

// State is the state of an operation; the last three are final.
type State string

// The states of an operation.
const (
	Running   State = "running"
	Canceling State = "canceling" // undoing what was done
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// Final reports whether the state is an end state.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Plan is what an operation does.
type Plan struct {
	Steps []Step
	// RollBack makes a new daemon undo an interrupted operation where it would
	// otherwise resume it.
	RollBack bool
	// Result is asked once all steps are done; nil for none.
	Result func() any
	// Fail is told the error of an operation that failed or was cancelled,
	// after the undoing and before the end is stored, so after a crash perhaps
	// twice; nil if nobody wants to know.
	Fail func(ctx context.Context, err error)
}

// Planner makes the plan of an operation from its stored parameters alone: a
// new daemon calls it again. Everything random (IDs) is chosen before Begin.
type Planner func(op Record) (Plan, error)

// Request asks for an operation.
type Request struct {
	Kind   string // a key of Config.Planners
	Target string // claimed for as long as the operation runs, for instance "vm/3f9c…"
	Name   string // the target's name for people
	Key    string // idempotency key; the same key and kind return the same operation
	Params any    // encoded as JSON
	// Preempt cancels the operation that holds the target, waits for its end,
	// and then begins (kill, forced delete). One of the same kind is only
	// waited for.
	Preempt bool
}

// Record is an operation as the journal keeps it.
type Record struct {
	ID        string
	Kind      string
	Target    string
	Name      string
	Key       string
	Params    json.RawMessage
	State     State
	Steps     []StepRecord
	Progress  Progress // of the last stored step
	Error     *fault.Error
	Result    json.RawMessage
	StartedAt time.Time
	EndedAt   time.Time
	Resumed   int
}

// StepState is the journaled state of a step.
type StepState string

// The states of a step.
const (
	StepPending StepState = "pending"
	StepStarted StepState = "started" // stored before Do
	StepDone    StepState = "done"
	StepUndone  StepState = "undone"
	StepFailed  StepState = "failed"
)

// StepRecord is a step as the journal keeps it.
type StepRecord struct {
	Name  string
	State StepState
	MS    float64
}

// Moment is a place in an operation at which a crash finds the journal and the
// world apart.
type Moment struct {
	Kind, Target, Step string
	At                 Instant
}

// Instant says which moment of a step it is.
type Instant string

// The moments of a step.
const (
	Starting Instant = "starting" // it is journaled as started and has not acted
	Acted    Instant = "acted"    // it has, and is not journaled as done
	Undoing  Instant = "undoing"  // it is to be undone, and that has not begun
	Reversed Instant = "reversed" // it is undone, which is not journaled
)

// Journal keeps operations; internal/store implements it. A missing one is
// fault.NotFound, an ambiguous prefix fault.Invalid.
type Journal interface {
	// InsertOperation stores a new operation; where one of the same kind has
	// the same key it stores nothing and returns that one.
	InsertOperation(ctx context.Context, r Record) (existing *Record, err error)
	UpdateOperation(ctx context.Context, r Record) error
	Operation(ctx context.Context, idOrPrefix string) (Record, error)
	OperationByKey(ctx context.Context, kind, key string) (*Record, error) // nil if there is none
	// Operations returns those that have not ended, or all; newest first.
	Operations(ctx context.Context, all bool) ([]Record, error)
}

package api

import (
	"encoding/json"
	"time"
)

// OpState is the state of an operation.
type OpState string

// The states of an operation. The last three are final and are kept.
const (
	OpRunning   OpState = "running"
	OpCanceling OpState = "canceling" // undoing what was done
	OpSucceeded OpState = "succeeded"
	OpFailed    OpState = "failed"   // what was done is undone, but for what is kept; Error says what failed
	OpCanceled  OpState = "canceled" // what was done is undone, but for what is kept: a VM that is whole stays
)

// Final reports whether the state is an end state.
func (s OpState) Final() bool { return s == OpSucceeded || s == OpFailed || s == OpCanceled }

// Operation is a long action.
type Operation struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`           // for instance "vm.create"
	Target    string          `json:"target"`         // for instance "vm/3f9c0a…" or "image/debian"
	Name      string          `json:"name,omitempty"` // the target's name for people
	State     OpState         `json:"state"`
	Progress  Progress        `json:"progress"`
	Error     *Error          `json:"error,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"` // a VM's or an image's ID: {"id": …}
	StartedAt time.Time       `json:"started_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	Resumed   int             `json:"resumed,omitempty"` // how often a new daemon took it up again
	Steps     []OpStep        `json:"steps,omitempty"`   // with op.show and op.wait
}

// OpStep is one journaled step.
type OpStep struct {
	Name  string  `json:"name"`
	State string  `json:"state"` // pending, started, done, undone, failed
	MS    float64 `json:"ms"`
}

// Progress is how far an operation is.
type Progress struct {
	Phase string `json:"phase"`           // for instance "installing packages"
	Done  int64  `json:"done,omitempty"`  // of Total, in Unit
	Total int64  `json:"total,omitempty"` // 0: unknown
	Unit  string `json:"unit,omitempty"`  // "bytes", "packages", "steps"
}

// OpRef names an operation by ID or unique prefix.
type OpRef struct {
	ID string `json:"id"`
}

// OpWaitRequest waits for an operation to end, or for its progress to change.
type OpWaitRequest struct {
	ID     string `json:"id"`
	WaitMS int64  `json:"wait_ms,omitempty"` // answer by then in any case; default and maximum 60,000
	Ended  bool   `json:"ended,omitempty"`   // only its end is waited for
}

// OpListRequest filters a list.
type OpListRequest struct {
	All bool `json:"all,omitempty"` // also those that have ended
}

// OpList is a list of operations, newest first.
type OpList struct {
	Operations []Operation `json:"operations"`
}

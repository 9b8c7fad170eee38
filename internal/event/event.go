// Package event is the stream of things that happened, numbered so that a
// watcher can go on where it stopped, over restarts of the daemon too.
package event

import (
	"context"
	"encoding/json"
	"time"
)

// Event is something that happened.
type Event struct {
	Seq     uint64 // given by the Log; grows by one, and by more over a crash
	Time    time.Time
	Type    string // for instance "vm.running", "op.progress"
	Target  string // for instance "vm/3f9c…", "op/…", "image/…"
	Name    string // the target's name for people
	Message string
	// Data is an encodable value that goes with the event: an
	// operation.Record for op.* events, nil otherwise.
	Data any
	// Transient events are not kept over a restart: a later one replaces them.
	Transient bool
}

// Publisher takes events. Publish never blocks and keeps no reference that the
// caller may change.
type Publisher interface {
	Publish(Event)
}

// Kept is an event as a Keeper keeps it; Data stands for Event.Data.
type Kept struct {
	Event
	Data json.RawMessage
}

// Mark is what a Log must know to go on after a restart.
type Mark struct {
	// Reserved is the highest number that may have been given. It is stored
	// before any number up to it is given, so none is ever given twice.
	Reserved uint64
	// Gap: a watcher that has not seen this number yet has missed something.
	Gap   uint64
	Clean bool // the last Log was closed; all it published is kept
}

// Keeper keeps events; internal/store implements it.
type Keeper interface {
	EventMark(ctx context.Context) (Mark, error)
	// SaveEvents stores events and mark at once, drops all but the newest keep
	// events, and returns the mark with Gap raised to the newest one dropped.
	SaveEvents(ctx context.Context, events []Kept, mark Mark, keep int) (Mark, error)
	// EventsAfter returns up to limit kept events with a number above after and
	// below before, oldest first; target "" is any.
	EventsAfter(ctx context.Context, after, before uint64, target string, limit int) ([]Kept, error)
}

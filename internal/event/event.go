// Package event is the stream of things that happened, numbered so that a
// watcher can go on where it stopped, over restarts of the daemon too.
package event

import "time"

// Event is something that happened.
type Event struct {
	Seq     uint64 // grows by one; given by the Log
	Time    time.Time
	Type    string // for instance "vm.started", "op.progress"
	Target  string // for instance "vm/3f9c…", "op/…", "image/…"
	Name    string // the target's name for people
	Message string
	// Data is an encodable value that goes with the event: an
	// operation.Record for op.* events, nil otherwise.
	Data any
}

// Publisher takes events. Publish never blocks and keeps no reference that the
// caller may change.
type Publisher interface {
	Publish(Event)
}

package api

import "time"

// Event is something that happened. Seq grows by one with every event of a
// state directory and survives restarts of the daemon.
type Event struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`   // for instance "vm.started", "op.progress", "vm.disk_full"
	Target  string    `json:"target"` // for instance "vm/3f9c0a…", "op/…", "image/debian"
	Name    string    `json:"name,omitempty"`
	Message string    `json:"message,omitempty"`
	// Operation carries the operation's new state for op.* events.
	Operation *Operation `json:"operation,omitempty"`
}

// EventWatchRequest asks for the events after a sequence number. It answers as
// soon as there is one, or with none after the wait; ask again with the last
// Seq seen. Since -1 answers at once with the newest number and no events.
type EventWatchRequest struct {
	Since  int64  `json:"since"`
	WaitMS int64  `json:"wait_ms,omitempty"` // default and maximum 60,000
	Target string `json:"target,omitempty"`  // only events of this target
}

// EventBatch is a part of the event stream.
type EventBatch struct {
	Events []Event `json:"events"`
	Last   uint64  `json:"last"` // the newest sequence number there is
	// Gap is set where events after Since are no longer kept.
	Gap bool `json:"gap,omitempty"`
}

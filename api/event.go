package api

import "time"

// Event is something that happened. Seq grows with every event of a state
// directory, over restarts of the daemon too. Numbers may be left out: the
// progress of operations is not kept, and a daemon that was killed takes the
// numbers with it that it had set aside.
//
// The types are vm.running, vm.system_ready, vm.paused, vm.resumed,
// vm.rebooted, vm.adopted (by a new monitor), vm.found (it ran, which its record
// did not know), vm.renamed, vm.changed (by set),
// vm.stopped, vm.stop_timeout (it was killed), vm.comes_back (its restart policy
// starts it after a pause), vm.stays_down (it was started as often as that has
// it), vm.autostart (it starts with the host), vm.autostart_failed,
// vm.hook_failed (a capability could not be given), vm.forward_opened,
// vm.forward_closed, vm.forward_failed (its port is in use; it is tried again);
// op.started, op.progress, op.resumed and op.rolling_back (by a new daemon),
// op.finished; and daemon.reaped (what was left over and nobody's was ended or
// removed), daemon.stray (it was found, and is left to the user).
type Event struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`   // for instance "vm.running", "op.progress"
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
	Last   uint64  `json:"last"` // the newest sequence number given; perhaps of no event that is kept
	// Gap is set where events after Since are no longer kept, or may have been
	// lost when the daemon was killed.
	Gap bool `json:"gap,omitempty"`
}

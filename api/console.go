package api

import "time"

// VMLogsRequest asks for a part of what a VM's guest said on its console. All
// of it is asked for by going on at the Next of each answer.
type VMLogsRequest struct {
	VM string `json:"vm"`
	// Offset is where the part begins: bytes since the VM was made. Without
	// one, Since and Tail say it.
	Offset *uint64 `json:"offset,omitempty"`
	// Since leaves out what was said before, to the second.
	Since time.Time `json:"since,omitzero"`
	// Tail leaves out all but the last lines.
	Tail *int `json:"tail,omitempty"`
	// WaitMS is how long more is waited for where there is nothing yet;
	// default none, at most 60,000.
	WaitMS int64 `json:"wait_ms,omitempty"`
}

// VMLogs is a part of what a guest said.
type VMLogs struct {
	ID string `json:"id"` // the VM's
	// Offset is where Data begins: greater than asked for where the oldest is
	// no longer kept.
	Offset uint64 `json:"offset"`
	Data   []byte `json:"data"` // as the guest wrote it, at most 64 KiB
	Next   uint64 `json:"next"` // where the next part begins
	End    uint64 `json:"end"`  // the number of bytes said so far
	// Times say when, in the order of their offsets; the first is of the byte
	// at Offset, unless that is not known.
	Times []VMLogTime `json:"times,omitempty"`
}

// VMLogTime says that the bytes from Offset on came at Time or up to a second
// later, or after a pause.
type VMLogTime struct {
	Offset uint64    `json:"offset"`
	Time   time.Time `json:"time"`
}

// ConsoleAttachRequest sits down at a VM's serial console. The frames are those
// of an exec without stderr: stdin is what is typed, stdout what the guest says,
// whose offsets are those of vm.logs. Any number of clients may sit there. The
// exit, of code 0, follows the end of the VM.
type ConsoleAttachRequest struct {
	// Replay is given with the first attempt: begin with about so many bytes
	// of what was said before, at most 256 KiB. Later ones go on.
	Replay *uint32 `json:"replay,omitempty"`
	// StdoutOffset is where this client's output ends.
	StdoutOffset uint64 `json:"stdout_offset"`
	// StdinOffset is the number of bytes that it has typed. What it typed just
	// before a connection broke may be lost, and never comes twice.
	StdinOffset uint64 `json:"stdin_offset"`
}

package fakeproc

import (
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
)

// Version is that of the fake VMM and of what is spoken with it.
const Version = "1.0"

// The files in a machine's directory, besides those of package rundir and the
// sockets.
const (
	FileMachine = "machine.json" // the vmm.Spec
	FileEnd     = "vmm.end"      // an End, of a VMM that ended by its guest
	FileFaults  = "fake.faults"  // the faults that a test wants; see test/fakevmm
)

// The descriptors that the VMM inherits: the lock, and listening sockets.
const (
	FDLock = 3 + iota
	FDControl
	FDConsole
	FDAgent
)

// The states of a machine.
const (
	StatePrelaunch = "prelaunch" // the guest waits for DoStart
	StateRunning   = "running"
	StatePaused    = "paused"
)

// What can be asked for.
const (
	DoStart    = "start"
	DoPause    = "pause"
	DoResume   = "resume"
	DoStats    = "stats"
	DoPoweroff = "poweroff" // what the guest could do itself, at once
	DoReset    = "reset"
)

// Request is a line to the control socket.
type Request struct {
	ID int    `json:"id"` // not 0
	Do string `json:"do"`
}

// Message is a line from the control socket. The first one says what State the
// machine is in; then come answers, each with the ID of its request, and events.
type Message struct {
	ID      int           `json:"id,omitempty"`
	Version string        `json:"version,omitempty"`
	State   string        `json:"state,omitempty"`
	Event   vmm.EventType `json:"event,omitempty"`
	Reason  string        `json:"reason,omitempty"` // of a pause
	Error   string        `json:"error,omitempty"`
	// Drives are the answer to DoStats.
	Drives map[disk.Slot]vmm.DriveStats `json:"drives,omitempty"`
}

// End is how a guest ended its machine.
type End struct {
	Reason string `json:"reason"` // vmm.ExitPoweroff or vmm.ExitReset
}

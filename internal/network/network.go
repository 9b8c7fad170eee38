// Package network is the contract of network drivers: what a VM's network
// card is plugged into. A driver has a part in the daemon, which decides
// (Driver), and may have one in the VM's monitor, which carries the frames
// (Carrier).
package network

import (
	"context"
	"io"
)

// Backend is how a VMM attaches the card.
type Backend string

// The backends.
const (
	BackendNone Backend = "none" // no card
	// BackendFrames: the machine hands its card's Ethernet frames to who opens
	// its Link, which is the VM's monitor.
	BackendFrames Backend = "frames"
	// BackendBuiltin is the VMM's own user-mode NAT (QEMU's -netdev user). No
	// driver asks for it any more: a VM that an older daemon started, and whose
	// guest reboots, still has it.
	BackendBuiltin Backend = "builtin"
)

// GuestDriver is what a guest's kernel has for any card, as /proc/modules shows it.
const GuestDriver = "virtio_net"

// Attachment is one card as a VMM needs it, and what its driver's Carrier must
// know.
type Attachment struct {
	Backend Backend `json:"backend"`
	MAC     string  `json:"mac,omitempty"`
	// Driver names the driver whose Carrier carries the frames.
	Driver string `json:"driver,omitempty"`
	// Allow are the exceptions from what the driver refuses.
	Allow []Exception `json:"allow,omitempty"`
}

// Request is what a VM asks for.
type Request struct {
	VMID  string
	Dir   string // the VM's directory
	Allow []Exception
}

// Driver plugs a VM in. Apply is declarative and idempotent; it is called
// before every start. Release undoes it; nothing to release is no error.
type Driver interface {
	Name() string
	// Backends are those that Apply attaches with; a VMM needs one of them.
	Backends() []Backend
	Apply(ctx context.Context, req Request) (Attachment, error)
	Release(ctx context.Context, req Request) error
	// Exposure says in sentences what a guest on this network can reach, for
	// inspect and doctor.
	Exposure(allow []Exception) []string
}

// The bounds of a Link's frames, in bytes.
const (
	// MaxMTU is the most that a Link's MTU may be. A guest whose card takes no
	// pieces needs each frame in one: with what Linux puts around it that is
	// 32 KiB, the most that it finds at any time.
	MaxMTU = 31000
	// MaxFrame is what may come from a guest: its card may leave cutting to us.
	MaxFrame = 1<<16 + 14 + 4
)

// Link is the wire at a machine's card. Reads and writes may go on beside each
// other; Close ends both.
type Link interface {
	// MTU is the most that the guest's card takes behind a frame's header.
	MTU() int
	// ReadFrame reads the next whole Ethernet frame into buf, which has room
	// for MaxFrame bytes, and returns its length.
	ReadFrame(buf []byte) (int, error)
	// WriteFrames sends frames in their order, and keeps none of them.
	WriteFrames(frames [][]byte) error
	io.Closer
}

// Carrier is the part of a driver in a VM's monitor.
type Carrier interface {
	// Carry carries the frames of a link until ctx is done, or the link fails:
	// then that is its error. The next link may be another one to the same
	// guest. It closes the link.
	Carry(ctx context.Context, link Link) error
	// Report is what was refused so far; changed is closed when there is more.
	Report() (r Report, changed <-chan struct{})
	// Close ends all connections of the guest.
	io.Closer
}

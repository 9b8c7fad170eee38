// Package network is the contract of network drivers: what a VM's network
// card is plugged into.
package network

import "context"

// Backend is how a VMM attaches the card.
type Backend string

// The backends.
const (
	BackendNone Backend = "none" // no card
	// BackendBuiltin is the VMM's own user-mode NAT (QEMU's -netdev user):
	// outgoing connections only, and 10.0.2.2 is the host's loopback.
	BackendBuiltin Backend = "builtin"
)

// GuestDriver is what a guest's kernel has for any card, as /proc/modules shows it.
const GuestDriver = "virtio_net"

// Attachment is one card as a VMM needs it.
type Attachment struct {
	Backend Backend `json:"backend"`
	MAC     string  `json:"mac,omitempty"`
}

// Request is what a VM asks for.
type Request struct {
	VMID string
	Dir  string // the VM's directory
}

// Driver plugs a VM in. Apply is declarative and idempotent; it is called
// before every start. Release undoes it; nothing to release is no error.
type Driver interface {
	Name() string
	// Backends are those that Apply attaches with; a VMM needs one of them.
	Backends() []Backend
	Apply(ctx context.Context, req Request) (Attachment, error)
	Release(ctx context.Context, req Request) error
	// Exposure says in sentences what a guest on this network can reach that
	// one might not expect, for inspect and doctor.
	Exposure() []string
}

// Package user is the network driver that needs no root: the VMM's own
// user-mode NAT. It stands in until banger's own user-space network is there,
// which will keep a guest away from the host's loopback.
package user

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
)

// Driver gives a card behind the VMM's NAT.
type Driver struct{}

var _ network.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return "user" }

// Backends is the VMM's NAT, for VMMs that have one.
func (Driver) Backends() []network.Backend { return []network.Backend{network.BackendBuiltin} }

// Apply attaches a card whose address follows from the VM's ID.
func (Driver) Apply(ctx context.Context, req network.Request) (network.Attachment, error) {
	if req.VMID == "" {
		return network.Attachment{}, fault.New(fault.Internal, "", "a network card was asked for a VM without an ID")
	}
	return network.Attachment{Backend: network.BackendBuiltin, MAC: mac(req.VMID)}, ctx.Err()
}

// Release has nothing to release: the NAT lives in the VMM.
func (Driver) Release(context.Context, network.Request) error { return nil }

// Exposure says what a guest reaches through the NAT.
func (Driver) Exposure() []string {
	return []string{
		"The guest can reach services on this host's loopback as 10.0.2.2.",
		"The guest can reach every network that this host can, private ones included.",
	}
}

// mac is a stable address for a VM: locally administered, unicast.
func mac(vmID string) string {
	sum := sha256.Sum256([]byte("banger network card 0 of " + vmID))
	b := sum[:6]
	b[0] = b[0]&^0x01 | 0x02
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

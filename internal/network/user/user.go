// Package user is the network driver that needs no root: a TCP/IP stack in the
// VM's monitor, in which every connection of the guest ends and for each of
// which the monitor makes one of its own. It is the same on every VMM that
// hands over its guest's frames.
//
// A guest reaches what everybody on the Internet may reach, and this host's
// DNS resolvers. It reaches neither this host nor private networks, unless it
// was asked for.
package user

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
	"github.com/banger-vm/banger/internal/network/user/resolver"
	"github.com/banger-vm/banger/internal/network/user/stack"
)

// DriverName is the driver's name.
const DriverName = "user"

// Driver gives a card whose frames the VM's monitor carries.
type Driver struct{}

var _ network.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return DriverName }

// Backends is that of frames.
func (Driver) Backends() []network.Backend { return []network.Backend{network.BackendFrames} }

// Apply attaches a card whose address follows from the VM's ID.
func (Driver) Apply(ctx context.Context, req network.Request) (network.Attachment, error) {
	if req.VMID == "" {
		return network.Attachment{}, fault.New(fault.Internal, "", "a network card was asked for a VM without an ID")
	}
	return network.Attachment{Backend: network.BackendFrames, MAC: mac(req.VMID), Driver: DriverName, Allow: req.Allow}, ctx.Err()
}

// Release has nothing to release: the stack lives in the VM's monitor.
func (Driver) Release(context.Context, network.Request) error { return nil }

// Exposure says what a guest reaches.
func (Driver) Exposure(allow []network.Exception) []string {
	list := []string{"Every address of the Internet that this host reaches, and this host's DNS resolvers; neither this host nor private networks."}
	for _, e := range allow {
		text := "Besides, as asked for: " + e.String()
		if a := e.Prefix.Addr(); a.IsLoopback() {
			text += " of this host itself, as its gateway"
		}
		list = append(list, text+".")
	}
	return list
}

// Carry makes the part that runs in the VM's monitor.
func Carry(log *slog.Logger, a network.Attachment) (network.Carrier, error) {
	card, err := net.ParseMAC(a.MAC)
	if err != nil || len(card) != len(frames.MAC{}) {
		return nil, fmt.Errorf("the card's address %q is none of Ethernet", a.MAC)
	}
	s, err := stack.New(log, stack.Config{
		Card:     frames.MAC(card),
		Policy:   policy.Policy{Allow: a.Allow, Own: policy.OwnAddresses(log)},
		Resolver: resolver.New(resolver.Path, log),
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// mac is a stable address for a VM: locally administered, unicast.
func mac(vmID string) string {
	sum := sha256.Sum256([]byte("banger network card 0 of " + vmID))
	b := sum[:6]
	b[0] = b[0]&^0x01 | 0x02
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

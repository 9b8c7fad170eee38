// Package none is the network driver of VMs without a network card.
package none

import (
	"context"

	"github.com/banger-vm/banger/internal/network"
)

// Driver gives no card.
type Driver struct{}

var _ network.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return "none" }

// Backends is no card.
func (Driver) Backends() []network.Backend { return []network.Backend{network.BackendNone} }

// Apply attaches nothing.
func (Driver) Apply(ctx context.Context, _ network.Request) (network.Attachment, error) {
	return network.Attachment{Backend: network.BackendNone}, ctx.Err()
}

// Release has nothing to release.
func (Driver) Release(context.Context, network.Request) error { return nil }

// Exposure is nothing.
func (Driver) Exposure([]network.Exception) []string { return nil }

package machine

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// Vitals is how a running machine and its guest are. A Runtime that implements
// it does so for the same directories; ErrNotRunning as there. wait is how long
// the guest's agent may take; one that takes longer is a fault.Deadline, one that
// does not answer yet a fault.Unavailable.
type Vitals interface {
	// Ping asks the agent for a sign of life and returns how long that took, as
	// the machine's monitor saw it.
	Ping(ctx context.Context, dir string, wait time.Duration) (time.Duration, error)
	// Health asks the agent how the guest is.
	Health(ctx context.Context, dir string, wait time.Duration) (wire.Health, error)
	// Counts returns what VMM, network and guest have counted. What one of them
	// does not tell in time is missing, and that is no error.
	Counts(ctx context.Context, dir string, wait time.Duration) (Counts, error)
}

// Counts are what was counted of one boot; nil is what is not known.
type Counts struct {
	VMM *vmm.Stats `json:"vmm,omitempty"`
	// Traffic is that of the guest's card since its monitor began.
	Traffic *network.Traffic `json:"traffic,omitempty"`
	Guest   *wire.Health     `json:"guest,omitempty"`
	// Missing says why something is, a sentence each.
	Missing []string `json:"missing,omitempty"`
}

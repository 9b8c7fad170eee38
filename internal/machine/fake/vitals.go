package fake

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
)

// ask is what all questions for a guest begin with.
func (r *Runtime) ask(ctx context.Context, dir string) error {
	if r.AskHook != nil {
		if err := r.AskHook(ctx, dir); err != nil {
			return err
		}
	}
	_, err := r.Status(ctx, dir)
	return err
}

// Ping implements machine.Vitals.
func (r *Runtime) Ping(ctx context.Context, dir string, _ time.Duration) (time.Duration, error) {
	return 2 * time.Millisecond, r.ask(ctx, dir)
}

// Health implements machine.Vitals.
func (r *Runtime) Health(ctx context.Context, dir string, _ time.Duration) (wire.Health, error) {
	return health(), r.ask(ctx, dir)
}

// Counts implements machine.Vitals.
func (r *Runtime) Counts(ctx context.Context, dir string, _ time.Duration) (machine.Counts, error) {
	h := health()
	return machine.Counts{Guest: &h, Traffic: &network.Traffic{SentBytes: 1, ReceivedBytes: 2}}, r.ask(ctx, dir)
}

func health() wire.Health { return wire.Health{UptimeMS: 5000, Execs: 3, CPUs: 2} }

package control

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
)

// WaitRequest asks for what takes the guest at most WaitMS.
type WaitRequest struct {
	WaitMS int64 `json:"wait_ms"`
}

// Pong says how long the guest's agent took.
type Pong struct {
	MS float64 `json:"ms"`
}

var _ machine.Vitals = (*Runtime)(nil)

// Ping implements machine.Vitals.
func (r *Runtime) Ping(ctx context.Context, dir string, wait time.Duration) (time.Duration, error) {
	var p Pong
	err := r.askVitals(ctx, dir, MethodPing, wait, &p)
	return time.Duration(p.MS * float64(time.Millisecond)), err
}

// Health implements machine.Vitals.
func (r *Runtime) Health(ctx context.Context, dir string, wait time.Duration) (h wire.Health, err error) {
	err = r.askVitals(ctx, dir, MethodHealth, wait, &h)
	return h, err
}

// Counts implements machine.Vitals.
func (r *Runtime) Counts(ctx context.Context, dir string, wait time.Duration) (c machine.Counts, err error) {
	err = r.askVitals(ctx, dir, MethodCounts, wait, &c)
	return c, err
}

// askVitals asks the monitor straight away, as a time may be measured; where
// there is none it is brought back, and asked again.
func (r *Runtime) askVitals(ctx context.Context, dir, method string, wait time.Duration, result any) error {
	params, bound := WaitRequest{WaitMS: wait.Milliseconds()}, wait+patience
	err := exchange(ctx, dir, method, params, bound, result)
	if api.KindOf(err) == api.KindUnavailable && !silent(err) && ctx.Err() == nil {
		if _, err := r.Status(ctx, dir); err != nil {
			return err
		}
		err = exchange(ctx, dir, method, params, bound, result)
	}
	return told(err, "does not tell how its guest is")
}

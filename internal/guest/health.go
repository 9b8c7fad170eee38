package guest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/guest/wire"
)

var errHealth = errors.New("the guest's agent told an impossible health")

// The most that a guest is believed of itself.
const (
	maxBytes = 1 << 60
	maxMS    = 1e15 // of all its processors together
	maxUp    = 9e12 // ms; no more fits into a time.Duration
	maxCount = 1 << 20
)

// decodeHealth reads what the agent tells, and refuses what none of ours would.
func decodeHealth(answer []byte) (wire.Health, error) {
	var h wire.Health
	if err := json.Unmarshal(answer, &h); err != nil {
		return wire.Health{}, fmt.Errorf("%w: %w", errHealth, err)
	}
	for _, n := range []int64{h.MemTotal, h.MemAvail, h.RootSize, h.RootFree, h.WorkSize, h.WorkFree} {
		if n < 0 || n > maxBytes {
			return wire.Health{}, fmt.Errorf("%w: %d bytes", errHealth, n)
		}
	}
	for _, x := range []float64{h.UptimeMS, h.BusyMS, h.StolenMS, h.Load[0], h.Load[1], h.Load[2]} {
		if x < 0 || x > maxMS {
			return wire.Health{}, fmt.Errorf("%w: %g", errHealth, x)
		}
	}
	if h.UptimeMS > maxUp {
		return wire.Health{}, fmt.Errorf("%w: it is up for %g ms", errHealth, h.UptimeMS)
	}
	for _, n := range []int{h.Execs, h.CPUs} {
		if n < 0 || n > maxCount {
			return wire.Health{}, fmt.Errorf("%w: %d of something", errHealth, n)
		}
	}
	return h, nil
}

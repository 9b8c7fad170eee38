package qemu

import (
	"context"
	"math"
	"time"
)

// A guest under TCG reads the host's time-stamp counter, and its kernel hangs
// at random when it calibrates that against an emulated timer. So it is told
// the frequency, which becomes its clock: an error here is drift there.

// tscMeter measures the counter's frequency from its making on, so the longer
// the process runs the better, and a driver that has just been made need only
// wait for the rest of minBaseline.
type tscMeter struct{ first tscSample }

const (
	minBaseline = 20 * time.Millisecond
	// What a real counter's frequency may be; beyond it we measured nonsense.
	minTSCKHz, maxTSCKHz = 200_000, 10_000_000
)

type tscSample struct {
	ticks uint64
	at    time.Time
}

// sampleTSC reads both clocks together: the closest of some tries.
func sampleTSC() tscSample {
	var best tscSample
	gap := time.Duration(math.MaxInt64)
	for range 16 {
		before := time.Now()
		ticks := rdtsc()
		after := time.Now()
		if d := after.Sub(before); d < gap {
			gap, best = d, tscSample{ticks, before.Add(d / 2)}
		}
	}
	return best
}

func newTSCMeter() *tscMeter { return &tscMeter{first: sampleTSC()} }

// kHz is the frequency; 0 where it cannot be known.
func (m *tscMeter) kHz(ctx context.Context) (int64, error) {
	if wait := minBaseline - time.Since(m.first.at); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	now := sampleTSC()
	elapsed := now.at.Sub(m.first.at)
	khz := int64(math.Round(float64(now.ticks-m.first.ticks) / elapsed.Seconds() / 1000))
	if khz < minTSCKHz || khz > maxTSCKHz {
		return 0, nil
	}
	return khz, nil
}

// TSCKHz measures the frequency of this host's counter, for other machines
// under TCG than ours; 0 where it cannot be known.
func TSCKHz(ctx context.Context) (int64, error) { return newTSCMeter().kHz(ctx) }

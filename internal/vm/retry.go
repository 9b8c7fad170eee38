package vm

import (
	"context"
	"time"
)

// The pauses between two tries of what must not be given up.
const firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second

// retry calls f until it succeeds or ctx ends, and tells failed in between.
func retry(ctx context.Context, f func() error, failed func(error)) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

package main

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
)

// A guest rests when its VMM takes less than this share of a processor for so
// long; it is not waited for for ever.
const (
	restShare = 0.25
	restSpan  = time.Second
	restLimit = 90 * time.Second
)

// awaitRest waits until a guest that has booted has nothing more to do: what its
// system says is ready goes on opening sessions for seconds.
func awaitRest(ctx context.Context, vmm int) error {
	for begin := time.Now(); time.Since(begin) < restLimit; {
		before, _, err := hostexec.Usage(vmm)
		if err != nil {
			return err
		}
		select {
		case <-time.After(restSpan):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		after, _, err := hostexec.Usage(vmm)
		if err != nil {
			return err
		}
		if (after - before).Seconds() < restShare*restSpan.Seconds() {
			return nil
		}
	}
	return nil
}

package main

import (
	"context"
	"time"
)

// remove measures how a running VM goes, with all that it had: against killing
// a VMM and removing its directory by hand.
func remove(ctx context.Context, b *bench) error {
	var floor, through, process samples
	for range max(b.rounds(6), 3) {
		vm, err := b.floor.boot(ctx)
		if err != nil {
			return err
		}
		_, err = vm.run("echo x")
		start := time.Now()
		if e := vm.end(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		floor.add(time.Since(start))
		if _, err := b.echoing(ctx, "gone"); err != nil {
			return err
		}
		took, err := b.forget(ctx, "gone")
		if err != nil {
			return err
		}
		through.add(took)
		if _, err := b.echoing(ctx, "gone"); err != nil {
			return err
		}
		start = time.Now()
		if _, err := b.rig.run(ctx, "rm", "-f", "gone"); err != nil {
			return err
		}
		process.add(time.Since(start))
	}
	b.add(
		row{"delete a running VM, client", "vm.delete by force", "ms", floor, through, b.limits.remove},
		row{"delete a running VM, whole process", "banger rm -f gone", "ms", floor, process, b.limits.remove},
	)
	return nil
}

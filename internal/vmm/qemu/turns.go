package qemu

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// takeTurns is what makes TCG run all of a guest's processors in one thread.
const takeTurns = ",thread=single"

// takesTurns reports whether the processors of an emulated guest must. In QEMU
// before 8.1 two threads can miss each other's change of code that both run, as
// a kernel does that switches a feature of its own (a static key): one of them
// then runs the breakpoint that stood there meanwhile for ever.
func (d *Driver) takesTurns(ctx context.Context, spec vmm.Spec) (bool, error) {
	if spec.CPUs == 1 {
		return false, nil
	}
	path, err := d.binary()
	if err != nil {
		return false, err
	}
	identity, err := kvmprobe.FileIdentity(path)
	if err != nil {
		return false, fmt.Errorf("looking at QEMU: %w", err)
	}
	version, err := d.versionOf(ctx, path, identity)
	if err != nil { // one that cannot even tell that may have the fault, or will not start
		d.log.WarnContext(ctx, "QEMU's version is not known", "err", err)
	}
	return missesCode(version), nil
}

// missesCode reports whether a version has that fault; one that cannot be read
// may have.
func missesCode(version string) bool {
	return !atLeast(version, 8, 1)
}

// atLeast reports whether a version is known to be major.minor or later.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

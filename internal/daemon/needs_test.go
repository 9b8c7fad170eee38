package daemon

import (
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/disk/guestcow"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// What VMMs, disks and networks need of a guest's kernel is what kernels are
// looked at for: another name would never be missing.
func TestNeedsAreNoted(t *testing.T) {
	needs := slices.Concat(qemu.GuestDrivers(), firecracker.GuestDrivers(), guestcow.New().GuestDrivers(), []string{network.GuestDriver})
	for _, need := range needs {
		if !slices.Contains(kernel.Noted(), need) {
			t.Errorf("no kernel is looked at for %s", need)
		}
	}
	for _, noted := range kernel.Noted() {
		if !slices.Contains(needs, noted) {
			t.Errorf("nothing needs %s", noted)
		}
	}
}

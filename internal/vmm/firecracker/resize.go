package firecracker

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// Resize has Firecracker open the drive's file again, by the name that it knows
// it by, and tell the guest of the size that it has now.
func (m *machine) Resize(ctx context.Context, slot disk.Slot, sizeBytes int64) error {
	if m.gone() {
		return fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	}
	for _, d := range m.spec.Drives {
		if d.Slot != slot {
			continue
		}
		u, err := disk.FileUsage(precheck.DrivePath(m.spec, d))
		if err != nil {
			return fmt.Errorf("looking at the file of drive %s: %w", slot, err)
		}
		if u.ApparentBytes != sizeBytes { // Firecracker would tell that instead
			return fmt.Errorf("the file of drive %s has %d bytes and not %d", slot, u.ApparentBytes, sizeBytes)
		}
		if err := m.api.UpdateDrive(ctx, string(slot), m.names().drive(d)); err != nil {
			return fmt.Errorf("telling Firecracker of the new size of %s: %w", slot, err)
		}
		return nil
	}
	return fmt.Errorf("the machine has no drive %s", slot)
}

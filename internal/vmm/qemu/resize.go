package qemu

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
)

// Resize has QEMU take a drive's new size and tell the guest.
func (m *machine) Resize(ctx context.Context, slot disk.Slot, sizeBytes int64) error {
	if m.gone() {
		return fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
	}
	args := map[string]any{"node-name": string(slot), "size": sizeBytes}
	if err := m.qmp.Execute(ctx, "block_resize", args, nil); err != nil {
		return fmt.Errorf("telling QEMU of the new size of %s: %w", slot, err)
	}
	return nil
}

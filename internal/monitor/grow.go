package monitor

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
)

// handleGrow tells the VMM of the work disk's new size, and has the guest grow
// the file system in it. What of it is done stays: the guest's next boot does
// the rest.
func (m *Monitor) handleGrow(ctx context.Context, req control.GrowRequest) (api.Empty, error) {
	if err := m.guestUp(); err != nil {
		return api.Empty{}, err
	}
	m.mu.Lock()
	mach := m.machine
	m.mu.Unlock()
	if mach == nil {
		return api.Empty{}, fault.New(fault.Unavailable, "Try again in a moment.", "the VM's VMM is just being started")
	}
	r, ok := mach.(vmm.Resizer)
	if !ok {
		return api.Empty{}, fault.New(fault.Precondition, "Stop and start the VM: it has the new size then.",
			"the VM's VMM cannot tell its guest of a disk's new size")
	}
	if err := r.Resize(ctx, disk.SlotWork, req.SizeBytes); err != nil {
		return api.Empty{}, err
	}
	size, err := m.agent.Grow(ctx, req.SizeBytes)
	if err != nil {
		return api.Empty{}, err
	}
	m.log.Info("the work disk has grown", "disk", req.SizeBytes, "file_system", size)
	return api.Empty{}, nil
}

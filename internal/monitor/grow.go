package monitor

import (
	"context"
	"fmt"
	"path/filepath"

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
	// A VMM may be told of less than the file has, and would cut it off.
	if u, err := disk.FileUsage(m.workDisk()); err != nil {
		return api.Empty{}, fmt.Errorf("looking at the work disk: %w", err)
	} else if u.ApparentBytes != req.SizeBytes {
		return api.Empty{}, fault.New(fault.Precondition, "Stop and start the VM: it has the file's size then.",
			"the work disk's file has %d bytes and not %d", u.ApparentBytes, req.SizeBytes)
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

// workDisk is the path of the work disk's file.
func (m *Monitor) workDisk() string {
	for _, d := range m.launch.Spec.Drives {
		if d.Slot == disk.SlotWork {
			if filepath.IsAbs(d.Path) {
				return d.Path
			}
			return filepath.Join(m.launch.Spec.Dir, d.Path)
		}
	}
	return ""
}

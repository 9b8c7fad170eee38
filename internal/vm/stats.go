package vm

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm/usage"
)

// Stats are what a VM takes and does, as far as it is known in time.
type Stats struct {
	View
	usage.Host
	machine.Counts
	Disks []DiskUsage
}

// DiskUsage is what a disk of a VM takes.
type DiskUsage struct {
	disk.Usage
	Slot   disk.Slot
	What   string // image, root, layer or work
	Shared bool   // with other VMs
}

// Stats looks at the VMs of these refs, or at all that run. All are asked at once,
// and what does not answer within wait is missing.
func (m *Manager) Stats(ctx context.Context, refs []string, wait time.Duration) ([]Stats, error) {
	views, err := m.named(ctx, refs)
	if err != nil {
		return nil, err
	}
	out := make([]Stats, len(views))
	var all sync.WaitGroup
	for i, v := range views {
		all.Go(func() { out[i] = m.stats(ctx, v, wait) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

// named are the VMs of these refs in their order, or those with a machine.
func (m *Manager) named(ctx context.Context, refs []string) ([]View, error) {
	if len(refs) == 0 {
		views, err := m.List(ctx, false)
		var running []View
		for _, v := range views {
			if v.Live != nil || v.MayRun() {
				running = append(running, v)
			}
		}
		return running, err
	}
	views := make([]View, len(refs))
	for i, ref := range refs {
		var err error
		if views[i], err = m.Inspect(ctx, ref); err != nil {
			return nil, err
		}
	}
	return views, nil
}

func (m *Manager) stats(ctx context.Context, v View, wait time.Duration) Stats {
	s := Stats{View: v, Host: usage.Host{At: m.cfg.Now()}}
	if v.Live != nil {
		s.Host = usage.Of(*v.Live, s.At)
		var err error
		if s.Counts, err = askMachine(ctx, v, wait, m.Vitals.Counts); err != nil {
			s.Counts = machine.Counts{Missing: []string{fault.From(err).Message}}
		}
	}
	disks, err := m.diskUsage(ctx, v)
	if err != nil {
		s.Missing = append(s.Missing, fault.From(err).Message)
	}
	s.Disks = disks
	return s
}

// diskUsage looks at the disks of a VM that has them.
func (m *Manager) diskUsage(ctx context.Context, v View) (all []DiskUsage, err error) {
	if !v.Made {
		return nil, nil
	}
	img, err := m.Images.Get(ctx, v.ImageID)
	if err != nil {
		return nil, err
	}
	driver, err := m.diskDriver(v.Spec.DiskDriver)
	if err != nil {
		return nil, err
	}
	root, err := driver.Open(v.Dir, img.Root)
	if err != nil {
		return nil, err
	}
	for _, d := range append(root.Drives, disk.Drive{Slot: disk.SlotWork, Path: workDisk}) {
		path := d.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(v.Dir, path)
		}
		u, err := disk.FileUsage(path)
		if err == nil && !d.ReadOnly && d.Slot != disk.SlotWork {
			u, err = driver.Usage(v.Dir) // which knows the size of the disk in the file
		}
		if err != nil {
			return all, err
		}
		all = append(all, DiskUsage{Usage: u, Slot: d.Slot, What: whatDisk(d), Shared: d.ReadOnly})
	}
	return all, nil
}

// whatDisk names a disk: only the image is never written.
func whatDisk(d disk.Drive) string {
	switch {
	case d.ReadOnly:
		return "image"
	case d.Slot == disk.SlotBase:
		return "root"
	case d.Slot == disk.SlotLayer:
		return "layer"
	}
	return "work"
}

// Package guestcow is the default disk driver: the guest joins the image,
// read-only, with a sparse layer of its own by its kernel's dm-snapshot. A VM
// costs one empty file, no root on the host, and all VMs of an image share its
// page cache.
package guestcow

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/sparse"
)

const (
	layer = "layer.img"

	// chunkBytes is dm-snapshot's chunk; the guest's /init uses the same.
	chunkBytes = 16 << 10
	// exceptions is how many chunks one metadata chunk maps, 16 bytes each.
	exceptions = chunkBytes / 16
	alignment  = 1 << 20
)

// Driver makes layers.
type Driver struct{}

var _ disk.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return "guestcow" }

// LayerBytes is the size of a layer that cannot overflow, even if the guest
// writes every block of the base. In dm-snapshot's persistent store a header
// chunk comes first, then one metadata chunk before every 1,024 data chunks;
// and once those are full the next metadata chunk is written at once.
func LayerBytes(baseBytes int64) int64 {
	chunks := (baseBytes + chunkBytes - 1) / chunkBytes
	total := (1 + chunks + chunks/exceptions + 1) * chunkBytes
	return (total + alignment - 1) / alignment * alignment
}

// GuestDrivers is what joins base and layer.
func (Driver) GuestDrivers() []string { return []string{"dm_snapshot"} }

// Check says whether dir can hold layers.
func (Driver) Check(ctx context.Context, dir string) error {
	return sparse.Check(ctx, dir, 64<<30)
}

// Create makes an empty layer.
func (d Driver) Create(ctx context.Context, dir string, base disk.Base) (disk.Root, error) {
	return disk.CreateOnce(ctx, d, dir, base)
}

// Open describes the joined root.
func (Driver) Open(dir string, base disk.Base) (disk.Root, error) {
	info, err := os.Stat(filepath.Join(dir, layer))
	if err != nil {
		return disk.Root{}, err
	}
	if want := LayerBytes(base.SizeBytes); info.Size() != want {
		return disk.Root{}, fmt.Errorf("the layer %s has %d bytes and cannot be of this image: that takes %d",
			filepath.Join(dir, layer), info.Size(), want)
	}
	return disk.Root{Mode: disk.RootCOW, Drives: []disk.Drive{
		{Slot: disk.SlotBase, Path: base.Path, ReadOnly: true},
		{Slot: disk.SlotLayer, Path: layer},
	}}, nil
}

// Reset puts an empty layer in the place of the old one.
func (Driver) Reset(ctx context.Context, dir string, base disk.Base) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := disk.WriteFile(filepath.Join(dir, layer), func(f *os.File) error {
		return f.Truncate(LayerBytes(base.SizeBytes))
	})
	if err != nil {
		return fmt.Errorf("the VM's system layer could not be made: %w", err)
	}
	return nil
}

// Delete removes the layer.
func (Driver) Delete(_ context.Context, dir string) error {
	return disk.RemoveFile(filepath.Join(dir, layer))
}

// Usage is what the layer takes.
func (Driver) Usage(dir string) (disk.Usage, error) {
	return disk.FileUsage(filepath.Join(dir, layer))
}

// Package qcow2 is the disk driver for QEMU: a VM's root is an overlay over the
// image, which QEMU joins. It takes what the guest writes and nothing else, and
// needs nothing of the guest's kernel nor of the host's file system.
package qcow2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
)

const rootFile = "root.qcow2"

// Driver makes overlays.
type Driver struct{}

var (
	_ disk.Driver    = Driver{}
	_ disk.Formatted = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return "qcow2" }

// Format is what a VMM must be able to read.
func (Driver) Format() disk.Format { return disk.FormatQCOW2 }

// Check wants nothing of the file system: the file grows with what is written.
func (Driver) Check(ctx context.Context, _ string) error { return ctx.Err() }

// Create makes an empty overlay.
func (d Driver) Create(ctx context.Context, dir string, base disk.Base) (disk.Root, error) {
	return disk.CreateOnce(ctx, d, dir, base)
}

// Open describes the root, after a look at the overlay's header.
func (Driver) Open(dir string, base disk.Base) (disk.Root, error) {
	path := filepath.Join(dir, rootFile)
	size, err := diskSize(path)
	if err != nil {
		return disk.Root{}, err
	}
	if size != base.SizeBytes {
		return disk.Root{}, fmt.Errorf("the overlay %s has %d bytes and cannot be of this image: that has %d", path, size, base.SizeBytes)
	}
	return disk.Root{Mode: disk.RootRaw, Drives: []disk.Drive{{
		Slot: disk.SlotBase, Path: rootFile, Format: disk.FormatQCOW2, Backing: base.Path,
	}}}, nil
}

func diskSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := readHeader(f)
	switch {
	case errors.Is(err, errCorrupt):
		return 0, fault.New(fault.Precondition, "See what is left of it with: qemu-img check -r all.", "the overlay %s cannot be used: %w", path, err)
	case err != nil:
		return 0, fmt.Errorf("the overlay %s cannot be used: %w", path, err)
	}
	return size, nil
}

// Reset puts an empty overlay in the place of the old one.
func (Driver) Reset(ctx context.Context, dir string, base disk.Base) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if base.SizeBytes <= 0 || base.SizeBytes > maxBytes || base.SizeBytes%512 != 0 {
		return fault.New(fault.Precondition, "Use --disk-driver guestcow or copy.",
			"an overlay cannot have the %d bytes of the image: whole sectors, and at most %d GiB", base.SizeBytes, int64(maxBytes)>>30)
	}
	err := disk.WriteFile(filepath.Join(dir, rootFile), func(f *os.File) error {
		return errors.Join(f.Truncate(newBytes), writeNew(f, base.SizeBytes))
	})
	if err != nil {
		return fmt.Errorf("the overlay could not be made: %w", err)
	}
	return nil
}

// Delete removes the overlay.
func (Driver) Delete(_ context.Context, dir string) error {
	return disk.RemoveFile(filepath.Join(dir, rootFile))
}

// Usage is what the overlay takes, of the size of the disk in it.
func (Driver) Usage(dir string) (disk.Usage, error) {
	path := filepath.Join(dir, rootFile)
	u, err := disk.FileUsage(path)
	if err == nil {
		u.ApparentBytes, err = diskSize(path)
	}
	return u, err
}

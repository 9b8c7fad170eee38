// Package copy is the disk driver that works everywhere: each VM gets a full
// copy of the image, sparse, and shared block by block where the file system
// can do that.
package copy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
)

const (
	rootFile  = "root.img"
	freshFile = "root.img.fresh" // of Stage
)

// Driver makes copies.
type Driver struct{}

var (
	_ disk.Driver = Driver{}
	_ disk.Staged = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{} }

// Name is the driver's name.
func (Driver) Name() string { return "copy" }

// Check says whether dir can hold copies.
func (Driver) Check(ctx context.Context, dir string) error {
	return disk.CheckSparse(ctx, dir, 64<<30)
}

// Create copies the base.
func (d Driver) Create(ctx context.Context, dir string, base disk.Base) (disk.Root, error) {
	return disk.CreateOnce(ctx, d, dir, base)
}

// Open describes the root.
func (Driver) Open(dir string, base disk.Base) (disk.Root, error) {
	info, err := os.Stat(filepath.Join(dir, rootFile))
	if err != nil {
		return disk.Root{}, err
	}
	if info.Size() != base.SizeBytes {
		return disk.Root{}, fmt.Errorf("the copy %s has %d bytes and cannot be of this image: that has %d",
			filepath.Join(dir, rootFile), info.Size(), base.SizeBytes)
	}
	return disk.Root{Mode: disk.RootRaw, Drives: []disk.Drive{{Slot: disk.SlotBase, Path: rootFile}}}, nil
}

// Reset puts a fresh copy in the place of the old one.
func (Driver) Reset(ctx context.Context, dir string, base disk.Base) error {
	return fill(ctx, filepath.Join(dir, rootFile), base, func(int64, int64) {})
}

// Stage makes a fresh copy.
func (Driver) Stage(ctx context.Context, dir string, base disk.Base, report func(done, total int64)) error {
	path := filepath.Join(dir, freshFile)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == base.SizeBytes {
		return nil // whole, or it would have another name
	}
	return fill(ctx, path, base, report)
}

// Replace gives the fresh copy its name.
func (Driver) Replace(dir string) error {
	err := os.Rename(filepath.Join(dir, freshFile), filepath.Join(dir, rootFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the fresh copy cannot take the old one's place: %w", err)
	}
	return nil
}

// Unstage removes a fresh copy.
func (Driver) Unstage(dir string) error { return disk.RemoveFile(filepath.Join(dir, freshFile)) }

// fill makes the file at path a copy of the base.
func fill(ctx context.Context, path string, base disk.Base, report func(done, total int64)) error {
	from, err := os.Open(base.Path)
	if err != nil {
		return fmt.Errorf("the image cannot be read: %w", err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return fmt.Errorf("the image cannot be read: %w", err)
	}
	if info.Size() != base.SizeBytes {
		return fmt.Errorf("the image %s has %d bytes instead of %d: it was changed", base.Path, info.Size(), base.SizeBytes)
	}
	err = disk.WriteFile(path, func(to *os.File) error {
		return clone(ctx, to, from, base.SizeBytes, report)
	})
	if err != nil {
		return fmt.Errorf("the image could not be copied: %w", err)
	}
	return nil
}

// Delete removes the copy.
func (d Driver) Delete(_ context.Context, dir string) error {
	return errors.Join(disk.RemoveFile(filepath.Join(dir, rootFile)), d.Unstage(dir))
}

// Usage is what the copy takes.
func (Driver) Usage(dir string) (disk.Usage, error) {
	return disk.FileUsage(filepath.Join(dir, rootFile))
}

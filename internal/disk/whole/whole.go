// Package whole is what those disk drivers have in common whose root is one
// file, as large as the image and at first the same.
package whole

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/sparse"
)

const (
	rootFile  = "root.img"       // the root in a VM's directory
	freshFile = "root.img.fresh" // of Stage
)

// Root is all of a driver but its name and its Check.
type Root struct {
	// Fill makes to, which is empty, the same as the size bytes of from.
	Fill func(ctx context.Context, to, from *os.File, size int64, report sparse.Report) error
}

var _ disk.Staged = Root{}

// Open describes the root.
func (Root) Open(dir string, base disk.Base) (disk.Root, error) {
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
func (r Root) Reset(ctx context.Context, dir string, base disk.Base) error {
	return r.fill(ctx, filepath.Join(dir, rootFile), base, nil)
}

// Stage makes a fresh copy.
func (r Root) Stage(ctx context.Context, dir string, base disk.Base, report func(done, total int64)) error {
	path := filepath.Join(dir, freshFile)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == base.SizeBytes {
		return nil // whole, or it would have another name
	}
	return r.fill(ctx, path, base, report)
}

// Replace gives the fresh copy its name.
func (Root) Replace(dir string) error {
	err := os.Rename(filepath.Join(dir, freshFile), filepath.Join(dir, rootFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the fresh copy cannot take the old one's place: %w", err)
	}
	return nil
}

// Unstage removes a fresh copy.
func (Root) Unstage(dir string) error { return disk.RemoveFile(filepath.Join(dir, freshFile)) }

// fill makes the file at path a copy of the base.
func (r Root) fill(ctx context.Context, path string, base disk.Base, report sparse.Report) error {
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
		if err := r.Fill(ctx, to, from, base.SizeBytes, report); err != nil || filepath.Base(path) != freshFile {
			return err
		}
		return to.Sync() // its size tells a resumed reset that it is whole
	})
	if err != nil {
		return fmt.Errorf("the image could not be copied: %w", err)
	}
	return nil
}

// Delete removes the root.
func (r Root) Delete(_ context.Context, dir string) error {
	return errors.Join(disk.RemoveFile(filepath.Join(dir, rootFile)), r.Unstage(dir))
}

// Usage is what the root takes; what it shares with the image counts in full.
func (Root) Usage(dir string) (disk.Usage, error) {
	return disk.FileUsage(filepath.Join(dir, rootFile))
}

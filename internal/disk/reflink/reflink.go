// Package reflink is the disk driver for file systems that share blocks between
// files, such as XFS and btrfs: a VM's root is a clone of the image, made in no
// time, which needs nothing of the guest's kernel.
package reflink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/sparse"
	"github.com/banger-vm/banger/internal/disk/whole"
	"github.com/banger-vm/banger/internal/fault"
)

// Driver makes clones.
type Driver struct{ whole.Root }

var _ disk.Driver = Driver{}

// New returns the driver.
func New() Driver { return Driver{whole.Root{Fill: share}} }

// Name is the driver's name.
func (Driver) Name() string { return "reflink" }

// Create clones the base.
func (d Driver) Create(ctx context.Context, dir string, base disk.Base) (disk.Root, error) {
	return disk.CreateOnce(ctx, d, dir, base)
}

// Check says whether the file system of dir clones files, by trying it.
func (Driver) Check(ctx context.Context, dir string) error {
	from, err := sparse.Scratch(dir)
	if err != nil {
		return fmt.Errorf("trying to clone a file: %w", err)
	}
	defer from.Close()
	to, err := sparse.Scratch(dir)
	if err != nil {
		return fmt.Errorf("trying to clone a file: %w", err)
	}
	defer to.Close()
	if _, err := from.Write(make([]byte, 4096)); err != nil {
		return fmt.Errorf("trying to clone a file: %w", err)
	}
	return share(ctx, to, from, 4096, nil)
}

// share clones all of from.
func share(ctx context.Context, to, from *os.File, _ int64, _ sparse.Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	const hint = "Use --disk-driver guestcow or copy, or a state directory on XFS or btrfs."
	switch err := sparse.Share(to, from); {
	case errors.Is(err, unix.EXDEV):
		return fault.New(fault.Precondition, hint, "image and VM lie on two file systems, and so share no blocks (%w)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fault.New(fault.Precondition, hint, "the file system of %s does not share blocks between files (%w)", filepath.Dir(to.Name()), err)
	case err != nil:
		return fmt.Errorf("cloning %s: %w", from.Name(), err)
	}
	return nil
}

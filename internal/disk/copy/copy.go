// Package copy is the disk driver that works everywhere: each VM gets a full
// copy of the image, sparse, and shared block by block where the file system
// can do that.
package copy

import (
	"context"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/sparse"
	"github.com/banger-vm/banger/internal/disk/whole"
)

// Driver makes copies.
type Driver struct{ whole.Root }

var (
	_ disk.Driver = Driver{}
	_ disk.Staged = Driver{}
)

// New returns the driver.
func New() Driver { return Driver{whole.Root{Fill: sparse.Clone}} }

// Name is the driver's name.
func (Driver) Name() string { return "copy" }

// Check says whether dir can hold copies.
func (Driver) Check(ctx context.Context, dir string) error {
	return sparse.Check(ctx, dir, 64<<30)
}

// Create copies the base.
func (d Driver) Create(ctx context.Context, dir string, base disk.Base) (disk.Root, error) {
	return disk.CreateOnce(ctx, d, dir, base)
}

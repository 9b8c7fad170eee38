// Package disk is the contract of disk drivers: they give a VM its block
// devices. A guest always sees the same slots, whatever the driver.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Slot is the place of a drive in the guest.
type Slot string

// The slots. All exist from the first boot; an unused one is an empty
// read-only drive.
const (
	SlotBase    Slot = "vda" // base image read-only, or the joined root itself
	SlotWork    Slot = "vdb" // work disk: ext4, the login user's home
	SlotLayer   Slot = "vdc" // the VM's COW layer
	SlotModules Slot = "vdd" // the kernel's modules, read-only
)

// Slots in their order.
var Slots = [...]Slot{SlotBase, SlotWork, SlotLayer, SlotModules}

// Format is how a drive's file holds its blocks. Whoever opens the file says
// which: what the file says of itself is never asked.
type Format string

// The formats.
const (
	FormatRaw   Format = "" // as they are, at their place
	FormatQCOW2 Format = "qcow2"
)

// Drive is one block device.
type Drive struct {
	Slot     Slot   `json:"slot"`
	Path     string `json:"path"` // absolute, or relative to the VM's directory
	ReadOnly bool   `json:"read_only,omitempty"`
	Format   Format `json:"format,omitempty"`
	// Backing is the raw file, never written, with those blocks that are not in
	// Path: absolute, "" without one. FormatRaw has none.
	Backing string `json:"backing,omitempty"`
	Limit   Limit  `json:"limit,omitzero"`
}

// Limit bounds what a guest may do to a drive, reads and writes together; 0 is
// no bound.
type Limit struct {
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`
	OpsPerSecond   int64 `json:"ops_per_second,omitempty"`
}

// The least that a Limit may be: with less a guest does not come up.
const (
	MinBytesPerSecond = 1 << 20
	MinOpsPerSecond   = 100
)

// Check refuses a limit that no guest could live with.
func (l Limit) Check() error {
	if l.BytesPerSecond != 0 && l.BytesPerSecond < MinBytesPerSecond {
		return fmt.Errorf("a disk's limit of %d bytes a second is less than a guest can work with (%d)", l.BytesPerSecond, MinBytesPerSecond)
	}
	if l.OpsPerSecond != 0 && l.OpsPerSecond < MinOpsPerSecond {
		return fmt.Errorf("a disk's limit of %d operations a second is less than a guest can work with (%d)", l.OpsPerSecond, MinOpsPerSecond)
	}
	return nil
}

// RootMode tells the guest what to do with the root drives.
type RootMode string

// The root modes, as the guest's command line carries them.
const (
	RootCOW RootMode = "cow" // the guest joins SlotBase and SlotLayer
	RootRaw RootMode = "raw" // SlotBase is the root, writable
)

// Base is an image's root disk: a raw ext4, never written.
type Base struct {
	Path      string // absolute
	SizeBytes int64
}

// Root is what a driver made.
type Root struct {
	Mode   RootMode
	Drives []Drive // SlotBase and, for RootCOW, SlotLayer
}

// Usage is what a VM's root takes on the host.
type Usage struct {
	ApparentBytes int64
	UsedBytes     int64
}

// Driver makes the system root of a VM from an image. Everything it makes
// lies in the VM's directory, which the caller owns and removes. Methods are
// idempotent: Create on a root that was made leaves it as it is, whole.
type Driver interface {
	Name() string
	// Check says whether dir's file system can carry it; nil or a sentence.
	Check(ctx context.Context, dir string) error
	// Create makes the root in dir. A crash or a cancel in the middle leaves
	// nothing that a later Create would take for whole.
	Create(ctx context.Context, dir string, base Base) (Root, error)
	// Open describes a root that Create made; fs.ErrNotExist if there is none.
	Open(dir string, base Base) (Root, error)
	// Reset drops all that was written to the root.
	Reset(ctx context.Context, dir string, base Base) error
	// Delete removes the root's files; none is no error.
	Delete(ctx context.Context, dir string) error
	Usage(dir string) (Usage, error)
}

// GuestJoined is a driver whose root the guest's kernel puts together.
type GuestJoined interface {
	// GuestDrivers names what that takes, as /proc/modules shows it.
	GuestDrivers() []string
}

// Formatted is a driver with a drive of another format than FormatRaw.
type Formatted interface {
	Format() Format
}

// Staged is a driver to which a fresh root is work: it is made beside the old
// one, which it then replaces in a moment. Stage and Replace do what Reset does.
type Staged interface {
	// Stage makes a fresh root in dir; one that is there, whole, stays as it is.
	// report is told how many bytes of how many are done.
	Stage(ctx context.Context, dir string, base Base, report func(done, total int64)) error
	// Replace puts it in the old one's place; without one it changes nothing.
	Replace(dir string) error
	// Unstage removes it; none is no error.
	Unstage(dir string) error
}

// CreateOnce is the Create of a driver whose Reset makes a root where there is
// none: one that is there is left as it is.
func CreateOnce(ctx context.Context, d Driver, dir string, base Base) (Root, error) {
	root, err := d.Open(dir, base)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	if err := d.Reset(ctx, dir, base); err != nil {
		return Root{}, err
	}
	return d.Open(dir, base)
}

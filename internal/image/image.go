// Package image keeps the base systems that VMs stand on: a registry of them,
// leases that keep one from being deleted under a VM in the making, and the
// operations that make and delete one. How an image is made is a child's
// business (bootstrap).
//
// An image is <state>/images/<id>/{root.img,skel/,image.json}: a sparse raw
// ext4 that nobody writes again, and the skeleton of its login user's home.
// Beside them, in seeds/, others keep the work disks that they have prepared.
package image

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/operation"
)

// Image is a base system. Path and SkelDir follow from the ID: the registry
// fills them in, the store need not keep them.
type Image struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Path      string    `json:"-"`    // of root.img, absolute
	SkelDir   string    `json:"-"`    // /etc/skel of the image, absolute
	SeedsDir  string    `json:"-"`    // where work disks may be prepared, absolute; not there before
	User      string    `json:"user"` // the login user
	UID       int       `json:"uid"`
	GID       int       `json:"gid"`
	OS        string    `json:"os"`   // PRETTY_NAME of os-release
	SizeBytes int64     `json:"size"` // apparent size of root.img
	UsedBytes int64     `json:"used"` // what it took on the host when it was made
	CreatedAt time.Time `json:"created_at"`
	Recipe    string    `json:"recipe"` // digest of what it was made from
}

// Store keeps images. Names are unique; a ref is what a user types: a name, an
// ID or a unique ID prefix, in that order. Missing rows are fault.NotFound, a taken name is fault.Exists, an
// ambiguous prefix fault.Invalid.
type Store interface {
	// InsertImage stores an image; the same one again (by ID) is no error.
	InsertImage(ctx context.Context, i Image) error
	DeleteImage(ctx context.Context, id string) error // a missing one is no error
	Image(ctx context.Context, ref string) (Image, error)
	ImageByID(ctx context.Context, id string) (Image, error) // by nothing else
	Images(ctx context.Context) ([]Image, error)             // by name
}

// The names of an image's files in its directory.
const (
	RootFile = "root.img"
	SkelName = "skel"

	seedsName = "seeds"
)

// Maker makes the files of an image.
type Maker interface {
	// Make makes RootFile and SkelName in dir, which is empty, and describes
	// them; ID, Name and paths are the registry's business. Whatever goes
	// wrong, it leaves nothing outside of dir.
	Make(ctx context.Context, dir string, report operation.Report) (Image, error)
	// Discard removes dir with all that a Make, broken off at any moment,
	// left there. No dir is no error.
	Discard(ctx context.Context, dir string) error
}

// Package archive is the form in which trees of files go between host and
// guest: Pack makes it of a tree, a Place unpacks it. It is tar in the PAX
// format, with one record of its own (Sparse), as docs/streams.md says.
//
// Whoever unpacks trusts nothing of what comes: no name leaves the
// destination, no link is followed, no file is there under its name before it
// is whole.
package archive

import (
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"syscall"

	"github.com/banger-vm/banger/api"
)

// Bounds of what is unpacked.
const (
	maxEntries = 10_000_000
	maxPath    = 4096 // bytes of a name in an archive
	maxName    = 255  // of one part of it
	maxDepth   = 512  // directories, each of which is kept open while it is filled
	chunk      = 128 << 10
)

// Side is one end of a copy, as messages have it.
type Side string

// The sides.
const (
	Here    Side = "here"
	InGuest Side = "in the guest"
)

// Count is how much was copied so far. It may be read at any time.
type Count struct {
	Files atomic.Int64 // all but directories
	Bytes atomic.Int64 // of content, holes left out
}

// Skipper is told of each file that is left out.
type Skipper func(api.FilesSkipped)

// Top is the name that a source has in an archive: the last part of its path,
// or "." for what is in a directory, without the directory: "", "dir/.", "..",
// "/".
func Top(source string) string {
	switch top := path.Base(source); top {
	case "..", "/":
		return "."
	default:
		return top
	}
}

// reason is the bare reason in err, for people.
func reason(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e.Error()
	}
	return err.Error()
}

// asAnother is what to do where a user of the guest may not.
const asAnother = "Copy as another user: -u root."

func refuse(kind api.Kind, hint, format string, args ...any) *api.Error {
	return api.NewError(kind, fmt.Sprintf(format, args...), hint)
}

// hostile is an archive that no end of ours would send.
func hostile(format string, args ...any) *api.Error {
	return refuse(api.KindInternal, "", "the archive is refused: "+format, args...)
}

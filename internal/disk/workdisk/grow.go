package workdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/banger-vm/banger/internal/fault"
)

// Grow makes the work disk at path larger, sparse, whether its VM runs or not;
// the guest then grows the file system in it. Smaller is fault.Invalid: what
// the guest wrote would be cut off. It is on the disk when Grow returns, so
// that no power failure makes a disk smaller than its file system. Again with
// the same size it does nothing.
func Grow(path string, sizeBytes int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "", "there is no work disk %s", path)
	}
	if err != nil {
		return fmt.Errorf("the work disk cannot be opened: %w", err)
	}
	if err := errors.Join(grow(f, sizeBytes), f.Close()); err != nil {
		return fmt.Errorf("the work disk cannot become larger: %w", err)
	}
	return nil
}

func grow(f *os.File, sizeBytes int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", f.Name())
	case sizeBytes < info.Size():
		return fault.New(fault.Invalid, "Make a new VM with a smaller one, and copy what you need: banger cp.",
			"it has %d MiB and cannot have %d MiB: a work disk never becomes smaller", info.Size()>>20, sizeBytes>>20)
	case sizeBytes%blockSize != 0:
		return fault.New(fault.Invalid, "Use whole MiB, for instance 20G.", "%d bytes are no whole blocks", sizeBytes)
	case sizeBytes > info.Size():
		if err := f.Truncate(sizeBytes); err != nil {
			return err
		}
	}
	return f.Sync() // of the same size too: an earlier Grow may have been killed before it
}

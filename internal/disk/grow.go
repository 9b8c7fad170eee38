package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
)

// Grow makes a raw image as large as sizeBytes, sparse; it never makes one smaller.
// Whoever has it open sees that when it looks again. A link in its place is refused.
func Grow(path string, sizeBytes int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("the disk cannot be made larger: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("the disk cannot be looked at: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("the disk cannot be made larger: %s is no file", path)
	case info.Size() >= sizeBytes:
		return nil
	}
	err = f.Truncate(sizeBytes)
	if errors.Is(err, syscall.EFBIG) {
		return fault.New(fault.Precondition, "Give it less with: banger set --disk, or move the state directory.",
			"the file system here has no files of %d GiB", sizeBytes>>30)
	}
	if err == nil {
		err = f.Sync() // no loss of power makes it smaller than what the guest then makes of it
	}
	if err != nil {
		return fmt.Errorf("the disk cannot be made larger: %w", err)
	}
	return nil
}

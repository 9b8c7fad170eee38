package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
)

// emptySize is the size of an empty drive: some VMMs refuse less than a page,
// and some guests look at the first 4 KiB for a partition table.
const emptySize = 1 << 20

// EmptyDrive makes the drive of an unused slot: sparse zeros. One that is
// there is left alone.
func EmptyDrive(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() == emptySize:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the empty drive cannot be looked at: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return Space(path, fmt.Errorf("the empty drive cannot be made: %w", err))
	}
	if err := errors.Join(f.Truncate(emptySize), f.Close()); err != nil {
		return Space(path, fmt.Errorf("the empty drive cannot be made: %w", err))
	}
	return nil
}

// Space turns an error that is a full disk (or a quota) into a fault with a
// hint; any other error, and nil, is returned as it is.
func Space(path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.Unavailable,
			"Free some space there (banger image ls and banger ls show what banger keeps), then try again.",
			"no space is left for %s: %w", path, err)
	}
	return err
}

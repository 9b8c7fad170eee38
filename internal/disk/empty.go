package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
		return fmt.Errorf("the empty drive cannot be made: %w", err)
	}
	if err := errors.Join(f.Truncate(emptySize), f.Close()); err != nil {
		return fmt.Errorf("the empty drive cannot be made: %w", err)
	}
	return nil
}

// Package sparse copies files with holes, and shares their blocks where the file
// system can do that.
package sparse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// piece is how much is copied between two looks at the context.
const piece = 32 << 20

// Report is told how many bytes of how many are done; nil where nobody asks.
type Report func(done, total int64)

// Clone makes to, which is empty, a copy of the size bytes of from: shared blocks
// where the file system can, else only what holds data.
func Clone(ctx context.Context, to, from *os.File, size int64, report Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if Share(to, from) == nil {
		return nil
	}
	return Copy(ctx, to, from, size, report)
}

// Share makes to a copy of from that shares all of its blocks, or says why the
// file system cannot (unix.EOPNOTSUPP, unix.EXDEV).
func Share(to, from *os.File) error { return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) }

// Copy copies what holds data of the size bytes of from, and looks at ctx on the way.
func Copy(ctx context.Context, to, from *os.File, size int64, report Report) error {
	if err := to.Truncate(size); err != nil {
		return err
	}
	used, err := usedBytes(from)
	if err != nil {
		return err
	}
	done := int64(0)
	for offset := int64(0); offset < size; {
		data, err := unix.Seek(int(from.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // a hole up to the end
		}
		if err != nil {
			return fmt.Errorf("finding data: %w", err)
		}
		hole, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("finding a hole: %w", err)
		}
		err = copyRange(ctx, to, from, data, min(hole, size), func(n int64) {
			done += n
			if report != nil {
				report(min(done, used), used)
			}
		})
		if err != nil {
			return err
		}
		offset = hole
	}
	return nil
}

// usedBytes is what a file takes, which may have lost its name since it was opened.
func usedBytes(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512, nil
	}
	return info.Size(), nil
}

func copyRange(ctx context.Context, to, from *os.File, start, end int64, copied func(int64)) error {
	for start < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(end-start, piece)
		// Between two files io.Copy takes copy_file_range.
		if _, err := to.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := from.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, n); err != nil {
			return err
		}
		start += n
		copied(n)
	}
	return nil
}

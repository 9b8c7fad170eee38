package sparse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Scratch makes a file in dir that has no name: it goes when it is closed,
// whoever is killed.
func Scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Check says whether dir can hold a sparse file of that size.
func Check(ctx context.Context, dir string, sizeBytes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := Scratch(dir)
	if err == nil {
		defer f.Close()
		err = f.Truncate(sizeBytes)
	}
	var info os.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil {
		return fmt.Errorf("%s cannot hold a sparse file of %d GiB: %w", dir, sizeBytes>>30, err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks*512 > 1<<20 {
		return fmt.Errorf("the file system of %s has no sparse files: each VM would take its whole size", dir)
	}
	return nil
}

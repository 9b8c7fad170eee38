package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile makes a file under another name with fill and then gives it its
// own, so that a file of that name is always whole. Nothing is left of one
// that failed. It is not flushed: the record that speaks of it is not either.
func WriteFile(path string, fill func(*os.File) error) (err error) {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what a crash left of %s cannot be removed: %w", path, err)
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(fill(f), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// RemoveFile removes a file that WriteFile made, or what is left of one; none
// is no error.
func RemoveFile(path string) error {
	for _, p := range []string{path, path + ".tmp"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// FileUsage is what a file takes on the host.
func FileUsage(path string) (Usage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{ApparentBytes: info.Size(), UsedBytes: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		u.UsedBytes = st.Blocks * 512
	}
	return u, nil
}

// CheckSparse says whether dir can hold a sparse file of that size.
func CheckSparse(ctx context.Context, dir string, sizeBytes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	probe := filepath.Join(dir, ".sparse-probe")
	var used Usage
	err := WriteFile(probe, func(f *os.File) (err error) {
		if err = f.Truncate(sizeBytes); err == nil {
			used, err = FileUsage(f.Name())
		}
		return err
	})
	if err = errors.Join(err, RemoveFile(probe)); err != nil {
		return fmt.Errorf("%s cannot hold a sparse file of %d GiB: %w", dir, sizeBytes>>30, err)
	}
	if used.UsedBytes > 1<<20 {
		return fmt.Errorf("the file system of %s has no sparse files: each VM would take its whole size", dir)
	}
	return nil
}

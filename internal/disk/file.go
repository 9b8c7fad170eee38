package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// young is the age below which a directory without a lock may be about to get
// one.
const young = time.Minute

// tryLock locks a file, made where it is missing; the lock goes with the file.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return f, nil
}

// sweep removes the directories of machines whose process was killed: QEMU
// ended with it, only the files are left.
func sweep(runs string) error {
	dirs, err := os.ReadDir(runs)
	for _, d := range dirs {
		st, statErr := d.Info()
		if statErr != nil || time.Since(st.ModTime()) < young {
			continue
		}
		path := filepath.Join(runs, d.Name())
		lock, lockErr := tryLock(filepath.Join(path, lockFile))
		if lockErr != nil {
			continue // it runs
		}
		err = errors.Join(err, os.RemoveAll(path), lock.Close())
	}
	return err
}

// dropUnused removes the entries of dir that nobody used in a while.
func dropUnused(dir string, after time.Duration) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range entries {
		if st, statErr := d.Info(); statErr == nil && time.Since(st.ModTime()) > after {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, d.Name())))
		}
	}
	return err
}

// touch says that path is in use.
func touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

package cachedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// LockFile is the lock in a directory that Make made.
const LockFile = "lock"

// young is the age below which a directory without a lock may be about to get
// one.
const young = time.Minute

// Make makes a directory in parent that is locked for as long as this process
// lives, or until release removes it. It also removes those whose process was
// killed.
func Make(parent string) (dir string, release func() error, err error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", nil, err
	}
	if err := sweep(parent); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(parent, ""); err != nil {
		return "", nil, err
	}
	lock, err := TryLock(filepath.Join(dir, LockFile))
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

// sweep removes the directories that no process holds.
func sweep(parent string) error {
	dirs, err := os.ReadDir(parent)
	for _, d := range dirs {
		st, statErr := d.Info()
		if statErr != nil || time.Since(st.ModTime()) < young {
			continue
		}
		path := filepath.Join(parent, d.Name())
		lock, lockErr := TryLock(filepath.Join(path, LockFile))
		if lockErr != nil {
			continue // its process lives
		}
		err = errors.Join(err, os.RemoveAll(path), lock.Close())
	}
	return err
}

// DropUnused removes the entries of dir that nobody touched in a while.
func DropUnused(dir string, after time.Duration) error {
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

// Touch says that path is in use.
func Touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

package kernel

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel/unfit"
)

// OpenFile opens a kernel that somebody gave, by its absolute path. The caller
// closes it.
func OpenFile(path string) (f *os.File, size int64, err error) {
	// Not to wait for the writer of a pipe.
	f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, notOpened(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = unfit.New("it is no regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// OpenDir opens a directory that somebody gave, in the same way.
func OpenDir(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	return root, notOpened(path, err)
}

func notOpened(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "Check the path.", "there is no %s", path)
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Precondition, "The daemon reads it, as the user that it runs as: give that user access, or copy it.", "%s may not be read", path)
	}
	return err
}

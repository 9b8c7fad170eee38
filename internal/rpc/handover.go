package rpc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// ListenFile is Listen for a process that is about to be spawned: the file is
// handed to it and closed here. Calls made before it runs queue in the kernel.
// The socket's file is the process's to remove.
func ListenFile(path string, mode fs.FileMode) (*os.File, error) {
	l, err := Listen(path, mode)
	if err != nil {
		return nil, err
	}
	inner := l.(*listener).Listener.(*net.UnixListener)
	f, err := inner.File()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("handing %s over: %w", path, err), l.Close())
	}
	return f, inner.Close()
}

// FileListener takes a listening socket over; closing it removes path.
func FileListener(f *os.File, path string) (net.Listener, error) {
	inner, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("taking %s over: %w", path, err)
	}
	l := &listener{Listener: inner, path: path}
	if l.made, err = os.Lstat(path); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return l, f.Close()
}

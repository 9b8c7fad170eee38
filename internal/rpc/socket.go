package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSunPath is the longest path that fits a Unix address with its final zero.
const maxSunPath = 107

// Long reports whether a socket's path is too long for programs that know no
// way around the limit of addresses, as Dial and Listen do.
func Long(path string) bool { return len(path) > maxSunPath }

// ErrInUse means that another process answers on the socket.
var ErrInUse = errors.New("another process listens on the socket")

// shorten calls f with an address for path that fits a Unix address: a long
// path goes through a descriptor of its directory.
func shorten(path string, f func(addr string) error) error {
	if !Long(path) {
		return f(path)
	}
	dir, name := filepath.Split(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	addr := fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
	if len(addr) > maxSunPath {
		return fmt.Errorf("the socket's name %q is too long", name)
	}
	return f(addr)
}

// Dial connects to the Unix socket at path, however long that is.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	var conn net.Conn
	err := shorten(path, func(addr string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", path, bare(err))
	}
	return conn, nil
}

// bare drops the address from a network error: it may be a /proc path that
// says nothing to anybody.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Listen listens on a Unix socket with the given mode from its first instant.
// A socket that nobody answers on any more is replaced; one that is answered
// is ErrInUse. Closing the listener removes the socket, unless another has
// taken its place.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
	l, err := listen(path, mode)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(path); err == nil {
			l, err = listen(path, mode)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, bare(err))
	}
	return l, nil
}

func listen(path string, mode fs.FileMode) (net.Listener, error) {
	var inner net.Listener
	// The mode of the descriptor becomes the file's, less the umask: nobody
	// gets in between bind and chmod.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, chmodErr)
	}}
	err := shorten(path, func(addr string) (err error) {
		inner, err = lc.Listen(context.Background(), "unix", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	inner.(*net.UnixListener).SetUnlinkOnClose(false)
	l := &listener{Listener: inner, path: path}
	if err = os.Chmod(path, mode.Perm()); err == nil {
		l.made, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, inner.Close(), os.Remove(path))
	}
	return l, nil
}

// removeStale removes a socket whose process is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("there is a file in the socket's place that is no socket")
	}
	conn, err := Dial(context.Background(), path)
	if err == nil {
		conn.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// listener removes its own socket when it closes, and no other.
type listener struct {
	net.Listener
	path string
	made fs.FileInfo
	once sync.Once
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.made) {
			err = errors.Join(err, os.Remove(l.path))
		}
	})
	return err
}

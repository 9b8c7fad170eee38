package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A VM's directory may have a longer path than a socket's address may be, so
// sockets are named through a descriptor of the directory.

// Listen makes the socket name in dir, for this user only. The VMM inherits it,
// so a connection waits in its queue from the start: nobody polls.
func Listen(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	err = unix.Fchmod(fd, 0o600) // the file is born with this mode
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: through(dir, name)})
	}
	if err == nil {
		err = unix.Listen(fd, 8)
	}
	if err != nil {
		_ = unix.Close(fd) // err is what the caller must know
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Dial connects to the socket name in dir: to that file, and to nothing that a
// link in its place leads to.
func Dial(ctx context.Context, dir, name string) (net.Conn, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the VM's directory: %w", err)
	}
	defer unix.Close(fd)
	sock, err := unix.Openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", name, err)
	}
	defer unix.Close(sock)
	var st unix.Stat_t
	if err := unix.Fstat(sock, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("connecting to %s: %w", name, errors.Join(err, unix.ENOTSOCK))
	}
	conn, err := dialInTurn(ctx, fmt.Sprintf("/proc/self/fd/%d", sock))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", name, errors.Unwrap(err))
	}
	return conn, nil
}

// dialInTurn connects once there is a place in the queue, for which connecting
// without blocking does not wait.
func dialInTurn(ctx context.Context, path string) (net.Conn, error) {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, unix.EAGAIN) {
			return conn, err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func through(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// Remove removes what a machine of old left; missing ones are fine.
func Remove(dir *os.File, names ...string) error {
	for _, name := range names {
		if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a left-over %s: %w", name, err)
		}
	}
	return nil
}

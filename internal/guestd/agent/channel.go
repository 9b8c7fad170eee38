package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// portWait bounds the wait for the port: its name comes a moment after its driver.
const portWait = 5 * time.Second

// openChannel opens what the machine has to reach its host with, and returns
// what serves on it.
func (a *Agent) openChannel() (func(context.Context) error, error) {
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		name, err := findPort(os.DirFS("/sys/class/virtio-ports"), wire.PortName)
		if err == nil {
			p, err := openPort(filepath.Join("/dev", name))
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) error { return a.serveOn(ctx, wire.Listen(p, true)) }, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for the agent's port: %w", err)
		}
		if l, err := listenVsock(wire.VsockPort); err == nil {
			go ring()
			return func(ctx context.Context) error { return a.serveVsock(ctx, l) }, nil
		} else if time.Since(start) > portWait {
			return nil, fmt.Errorf("this machine has neither the port %s nor vsock: %w", wire.PortName, err)
		}
	}
}

// listenVsock listens on a port of vsock, where the machine has a device for it.
func listenVsock(number uint32) (*os.File, error) {
	if _, err := localCID(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: number})
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// ring tells a host that waits for it that the agent can be reached now. Others
// refuse, and try by themselves.
func ring() {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return // there was a socket a moment ago
	}
	defer unix.Close(fd)
	_ = unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: wire.BellPort})
}

// localCID is the machine's address; an error without a device.
func localCID() (int, error) {
	f, err := os.Open("/dev/vsock")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	cid, err := unix.IoctlGetInt(int(f.Fd()), unix.IOCTL_VM_SOCKETS_GET_LOCAL_CID)
	if err == nil && uint32(cid) < 3 { // none, the hypervisor's, or the loopback's
		err = fs.ErrNotExist
	}
	return cid, err
}

// serveVsock serves every connection of the host as it would a port.
func (a *Agent) serveVsock(ctx context.Context, l *os.File) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	raw, err := l.SyscallConn()
	if err != nil {
		return fmt.Errorf("listening on vsock: %w", err)
	}
	for {
		var conn int
		var from unix.Sockaddr
		var acceptErr error
		err := raw.Read(func(fd uintptr) bool {
			conn, from, acceptErr = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return !errors.Is(acceptErr, unix.EAGAIN)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listening on vsock: %w", err)
		}
		if acceptErr != nil {
			a.log.Warn("a vsock connection was lost", "err", acceptErr)
			continue
		}
		f := os.NewFile(uintptr(conn), "vsock")
		if vm, ok := from.(*unix.SockaddrVM); !ok || vm.CID != unix.VMADDR_CID_HOST {
			f.Close() // a process of the guest
			continue
		}
		go func() {
			err := a.serveOn(ctx, wire.Listen(f, false))
			a.log.Debug("a vsock connection ended", "err", err)
		}()
	}
}

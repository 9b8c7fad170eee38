package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// channel is one way to the host, on whatever this machine has.
type channel struct {
	port   *os.File // of virtio-serial, nil on vsock
	listen int
	opened bool
}

// openChannel opens the virtio-serial port with a name, or listens on a vsock
// port where the machine has none.
func openChannel(name string, number uint32) (*channel, error) {
	port, err := openPort(name)
	if err == nil {
		return &channel{port: port}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("there is neither the port %s nor vsock: %w", name, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: number}); err != nil {
		return nil, err
	}
	return &channel{listen: fd}, unix.Listen(fd, 1)
}

// next waits for the host, at first and whenever it was away. Reads of what it
// returns block: nothing wakes sooner.
func (c *channel) next() (*os.File, error) {
	if c.port != nil {
		if c.opened {
			time.Sleep(10 * time.Millisecond)
		}
		c.opened = true
		return c.port, nil
	}
	fd, _, err := unix.Accept4(c.listen, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("waiting for the host on vsock: %w", err)
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// release lets go of what next returned.
func (c *channel) release(f *os.File) error {
	if f == c.port {
		return nil
	}
	return f.Close()
}

// openPort opens the virtio-serial port with a name; fs.ErrNotExist if there
// is none.
func openPort(name string) (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(b)) != name {
			continue
		}
		device := filepath.Join("/dev", filepath.Base(filepath.Dir(file)))
		fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", device, err)
		}
		return os.NewFile(uintptr(fd), device), nil
	}
	return nil, fmt.Errorf("the port %s: %w", name, fs.ErrNotExist)
}

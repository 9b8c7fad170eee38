package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// findPort looks through sysfs for the virtio-serial port of a name and
// returns its device's name; fs.ErrNotExist if there is none.
func findPort(sys fs.FS, name string) (string, error) {
	files, err := fs.Glob(sys, "*/name")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		got, err := fs.ReadFile(sys, file)
		if err == nil && strings.TrimSuffix(string(got), "\n") == name {
			return filepath.Dir(file), nil
		}
	}
	return "", fmt.Errorf("no virtio-serial port is named %s: %w", name, fs.ErrNotExist)
}

// port is a virtio-serial port. It reads nothing, without waiting, while the
// host is away: Read then returns io.EOF once, and waits after that. The
// kernel wakes a waiting reader when a host comes.
type port struct {
	*os.File
	raw  syscall.RawConn
	away atomic.Bool
}

func openPort(device string) (*port, error) {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the agent's port: %w", err)
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetDeadline(time.Time{}) // fails where the kernel cannot wake us
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the agent's port: %w", err), f.Close())
	}
	p := &port{File: f, raw: raw}
	p.away.Store(true)
	return p, nil
}

func (p *port) Read(b []byte) (n int, err error) {
	gone := false
	waitErr := p.raw.Read(func(fd uintptr) bool {
		for {
			n, err = syscall.Read(int(fd), b)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if errors.Is(err, syscall.EAGAIN) {
			p.away.Store(false) // a host is there and silent
			return false
		}
		gone = err == nil && n == 0
		return !gone || !p.away.Load()
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, fmt.Errorf("reading the agent's port: %w", err)
	case gone:
		p.away.Store(true)
		return 0, io.EOF
	}
	p.away.Store(false)
	return n, nil
}

package firecracker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Why there is no server behind a socket.
var (
	errNoSocket = fs.ErrNotExist
	errRefused  = unix.ECONNREFUSED
)

// maxGreeting is longer than "OK 4294967295\n".
const maxGreeting = 24

// dialAgent asks the vsock for the agent's port.
func (m *machine) dialAgent(ctx context.Context) (_ net.Conn, err error) {
	conn, err := rundir.Dial(ctx, filepath.Join(m.spec.Dir, dirRun), fileVsock)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			err = errors.Join(err, discardConn(conn))
		}
	}()
	if _, err := fmt.Fprintf(conn, "CONNECT %d\n", wire.VsockPort); err != nil {
		return nil, fmt.Errorf("asking the vsock for the agent: %w", err)
	}
	if err := readGreeting(conn); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("the guest's agent cannot be reached on vsock: %w", err)
	}
	return conn, nil
}

// readGreeting reads the line "OK PORT" and no byte more: what follows is the
// agent's.
func readGreeting(conn net.Conn) error {
	line := make([]byte, 0, maxGreeting)
	for len(line) < maxGreeting {
		n, err := conn.Read(line[len(line) : len(line)+1])
		line = line[:len(line)+n]
		if err != nil {
			return err
		}
		if n == 0 || line[len(line)-1] != '\n' {
			continue
		}
		port, ok := bytes.CutPrefix(line[:len(line)-1], []byte("OK "))
		if !ok || len(port) == 0 || bytes.IndexFunc(port, func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
			break
		}
		return nil
	}
	return fmt.Errorf("its greeting is not understood: %q", line)
}

func discardConn(conn net.Conn) error {
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// removeVsock removes the socket of an instance that was configured and never
// started: it could not be made again.
func removeVsock(dir string) error {
	if err := os.Remove(filepath.Join(dir, dirRun, fileVsock)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a left-over %s: %w", fileVsock, err)
	}
	return nil
}

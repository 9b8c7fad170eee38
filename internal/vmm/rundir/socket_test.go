package rundir

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A VMM that serves one connection after the other has no place for the next
// until it has taken the last.
func TestDialWaitsForAPlace(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.UnixListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	first, err := Dial(t.Context(), dir, "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Dial(short, dir, "sock"); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a place it ended with %v", err)
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	second, err := Dial(t.Context(), dir, "sock")
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

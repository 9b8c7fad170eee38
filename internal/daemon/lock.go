package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
)

// lock keeps a second daemon off the state directory until it is closed or
// this process ends.
func lock(dir string) (_ io.Closer, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory's lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fault.New(fault.Busy, "Use that daemon, or another --state-dir.",
			"another daemon%s uses the state directory %s", holder(f), dir)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the state directory: %w", err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("writing into the state directory's lock: %w", err)
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, fmt.Errorf("writing into the state directory's lock: %w", err)
	}
	return f, nil
}

// holder names the process that has the lock, if it has written its name yet.
func holder(f io.Reader) string {
	pid, err := io.ReadAll(io.LimitReader(f, 16))
	if text := strings.TrimSpace(string(pid)); err == nil && text != "" {
		return " (pid " + text + ")"
	}
	return ""
}

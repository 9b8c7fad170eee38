// Package rundir is what a VMM's driver keeps in a VM's directory: the lock that
// the VMM inherits, the record of its process, and sockets of any path length.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// TakeLock locks dir for the VMM that will inherit the file. The lock belongs
// to the open file, so it lives while any process holds that.
func TakeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the VM's lock: %w", err)
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = vmm.ErrRunning
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// Locked reports whether a VMM, or someone about to start one, holds dir's
// lock. It takes no lock itself, so it disturbs nobody.
func Locked(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening the VM's lock: %w", err)
	}
	defer f.Close()
	query := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &query); err != nil {
		return false, fmt.Errorf("looking at the VM's lock: %w", err)
	}
	return query.Type != unix.F_UNLCK, nil
}

// FindHolder finds the process that holds dir's lock, for when the starter was
// killed before it wrote the record. A starter that still lives holds the lock
// too: the VMM is its child, so the youngest holder is meant.
func FindHolder(dir string) (hostexec.ID, error) {
	lock, err := os.Stat(filepath.Join(dir, LockFile))
	if err != nil {
		return hostexec.ID{}, fmt.Errorf("looking at the VM's lock: %w", err)
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return hostexec.ID{}, fmt.Errorf("listing processes: %w", err)
	}
	var found hostexec.ID
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil || pid == os.Getpid() || !hostexec.HoldsLock(pid, lock, hostexec.LockOFD) {
			continue
		}
		// One that ends while we look is no holder.
		if id, err := hostexec.Identify(pid); err == nil && id.StartTime >= found.StartTime {
			found = id
		}
	}
	if found.PID == 0 {
		return found, fmt.Errorf("the process that holds %s cannot be found: %w", filepath.Join(dir, LockFile), vmm.ErrNotRunning)
	}
	return found, nil
}

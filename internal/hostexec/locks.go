package hostexec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LockKind is a kind of lock, as the kernel names it in /proc/PID/fdinfo.
type LockKind string

// The kinds of locks that a description of an open file has, whoever uses it.
const (
	LockOFD   LockKind = "OFDLCK" // fcntl(2), F_OFD_SETLK
	LockFlock LockKind = "FLOCK"  // flock(2)
)

// HoldsLock reports whether a process has a file locked, not just open. No lock
// is tried for that. Of processes of others, which cannot be looked into, and of
// one that has ended it is false.
func HoldsLock(pid int, file os.FileInfo, kind LockKind) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		open, err := os.Stat(filepath.Join(proc, "fd", fd.Name()))
		if err != nil || !os.SameFile(open, file) {
			continue
		}
		info, err := os.ReadFile(filepath.Join(proc, "fdinfo", fd.Name()))
		if err == nil && strings.Contains(string(info), string(kind)) {
			return true
		}
	}
	return false
}

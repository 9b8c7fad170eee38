package hostexec

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ID names a process for ever: pids are used again, and start times are
// counted from the boot.
type ID struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since the boot
	BootID    string `json:"boot_id"`
}

// Identify is the identity of the process that has pid now; os.ErrProcessDone
// if there is none.
func Identify(pid int) (ID, error) {
	boot, err := BootID()
	if err != nil {
		return ID{}, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return ID{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return ID{}, fmt.Errorf("process %d cannot be looked at: %w", pid, err)
	}
	start, err := parseStartTime(stat)
	if err != nil {
		return ID{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return ID{PID: pid, StartTime: start, BootID: boot}, nil
}

// BootID is the kernel's ID of this boot of the host.
func BootID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("this host's boot ID cannot be read: %w", err)
	}
	return strings.TrimSpace(string(boot)), nil
}

// MachineID is the ID of this host's installation, "" where it has none.
func MachineID() (string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("this host's machine ID cannot be read: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// parseStartTime takes field 22 of /proc/PID/stat. The second field is the
// program's name in parentheses and may hold anything, parentheses too.
func parseStartTime(stat []byte) (uint64, error) {
	_, rest, ok := cutLast(stat, ')')
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 20 {
		return 0, errors.New("its stat line is not understood")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

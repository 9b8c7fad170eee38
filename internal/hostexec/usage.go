package hostexec

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Usage is what a process has taken: time on the processors, and memory.
func Usage(pid int) (cpu time.Duration, resident int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	// The second field may hold anything, parentheses too.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime, rss = 11, 12, 21 // counted from the third
	if len(fields) <= rss {
		return 0, 0, fmt.Errorf("the state of process %d is not understood", pid)
	}
	var n [3]int64
	for i, field := range []int{utime, stime, rss} {
		if n[i], err = strconv.ParseInt(string(fields[field]), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("the state of process %d is not understood: %w", pid, err)
		}
	}
	const tick = time.Second / 100 // USER_HZ, fixed on Linux
	return time.Duration(n[0]+n[1]) * tick, n[2] * int64(os.Getpagesize()), nil
}

// Proportional is the memory of a process in bytes, of what it shares with
// others its part (the kernel's PSS). It is more work than Usage's, as the kernel
// goes through all of the process's pages; fs.ErrPermission where that is
// another's to know.
func Proportional(pid int) (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("looking at the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(rollup) {
		fields := bytes.Fields(line)
		if len(fields) < 2 || string(fields[0]) != "Pss:" {
			continue
		}
		kb, err := strconv.ParseInt(string(fields[1]), 10, 53)
		if err != nil {
			return 0, fmt.Errorf("the memory of process %d is not understood: %w", pid, err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("the memory of process %d is not told", pid)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A guest rests when its VMM takes less than this share of a processor for so
// long; it is not waited for for ever.
const (
	restShare  = 0.25
	restSpan   = time.Second
	restLimit  = 90 * time.Second
	clockTicks = 100 // a second, on every Linux
)

// awaitRest waits until a guest that has booted has nothing more to do: what its
// system says is ready goes on opening sessions for seconds.
func awaitRest(ctx context.Context, vmm int) error {
	for begin := time.Now(); time.Since(begin) < restLimit; {
		before, err := ticks(vmm)
		if err != nil {
			return err
		}
		select {
		case <-time.After(restSpan):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		after, err := ticks(vmm)
		if err != nil {
			return err
		}
		if float64(after-before) < restShare*clockTicks*restSpan.Seconds() {
			return nil
		}
	}
	return nil
}

// ticks is the processor time that a process has had.
func ticks(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // behind the name
	fields := strings.Fields(rest)
	const user, system = 11, 12 // fields 14 and 15 of proc(5)
	if !ok || len(fields) <= system {
		return 0, fmt.Errorf("the times of process %d are not understood: %q", pid, b)
	}
	u, err1 := strconv.ParseInt(fields[user], 10, 64)
	s, err2 := strconv.ParseInt(fields[system], 10, 64)
	return u + s, errors.Join(err1, err2)
}

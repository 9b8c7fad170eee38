package fakeproc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// ending says how dir's VMM ended: as it wrote down itself, or else by us, or
// by somebody or something else.
func ending(dir string, exit hostexec.Exit, killed bool) vmm.Exit {
	out := vmm.Exit{At: time.Now()}
	var end End
	b, err := rundir.ReadEnd(filepath.Join(dir, FileEnd), maxLine)
	if err == nil {
		err = json.Unmarshal(b, &end)
	}
	switch {
	case err == nil && (end.Reason == vmm.ExitPoweroff || end.Reason == vmm.ExitReset):
		out.Reason = end.Reason
	case killed:
		out.Reason = vmm.ExitKilled
	default:
		out.Reason = vmm.ExitCrashed
		out.Detail = "the fake VMM ended by itself: " + exit.String()
		if last := rundir.LastWords(dir); last != "" {
			out.Detail += "; its last words: " + last
		}
	}
	return out
}

// LastExit says how the last VMM in spec.Dir ended.
func (d *Driver) LastExit(_ context.Context, spec vmm.Spec) (vmm.Exit, error) {
	held, err := rundir.Locked(spec.Dir)
	if err != nil {
		return vmm.Exit{}, err
	}
	if held {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrRunning)
	}
	trace, err := os.Stat(filepath.Join(spec.Dir, FileEnd))
	if os.IsNotExist(err) {
		trace, err = os.Stat(filepath.Join(spec.Dir, rundir.LogFile)) // it crashed
	}
	if os.IsNotExist(err) {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	if err != nil {
		return vmm.Exit{}, fmt.Errorf("looking for how the fake VMM ended: %w", err)
	}
	exit := ending(spec.Dir, hostexec.Exit{}, false)
	exit.At = trace.ModTime()
	return exit, nil
}

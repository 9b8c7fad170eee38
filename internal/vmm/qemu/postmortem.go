package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

var _ vmm.PostMortem = (*Driver)(nil)

// LastExit says from QEMU's trace and log how the last one ended.
func (d *Driver) LastExit(_ context.Context, spec vmm.Spec) (vmm.Exit, error) {
	held, err := rundir.Locked(spec.Dir)
	if err != nil {
		return vmm.Exit{}, err
	}
	if held {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrRunning)
	}
	trace, err := os.Stat(filepath.Join(spec.Dir, fileTrace))
	if os.IsNotExist(err) {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	if err != nil {
		return vmm.Exit{}, fmt.Errorf("looking at QEMU's trace: %w", err)
	}
	exit := ending(spec.Dir, hostexec.Exit{}, "", false)
	exit.At = trace.ModTime() // for a crash: when it was last seen to do something
	return exit, nil
}

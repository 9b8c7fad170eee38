package qemu

import (
	"context"
	"errors"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

const maxCPUs = 288 // of the microvm machine

const hintInstall = "sudo apt-get install qemu-system-x86"

// Prepare finds what would make Start fail.
func (d *Driver) Prepare(_ context.Context, spec vmm.Spec) error {
	if _, err := d.binary(); err != nil {
		return err
	}
	_, network := networkArgs(spec.Network)
	return errors.Join(checkCPUs(spec), precheck.Spec(spec), network)
}

// binary is QEMU's path.
func (d *Driver) binary() (string, error) {
	path, err := hostexec.LookPath(d.cfg.Binary)
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return "", fault.New(fault.Precondition, hintInstall, "QEMU is needed to run this VM: %w", err)
	}
	return path, err
}

func checkCPUs(spec vmm.Spec) error {
	if spec.CPUs < 1 || spec.CPUs > maxCPUs {
		return fault.New(fault.Invalid, "", "QEMU's microvm has 1 to %d vCPUs, not %d", maxCPUs, spec.CPUs)
	}
	return nil
}

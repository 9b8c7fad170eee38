package qemu

import (
	"context"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// kvmReason says why KVM does not work for guests with this kernel; "" if it
// does.
func (d *Driver) kvmReason(ctx context.Context, kernel, initramfs string) (string, error) {
	binary, err := d.binary()
	if err != nil {
		return "", err
	}
	return d.kvm.Reason(ctx, binary, kernel, initramfs)
}

// bootProbe starts the guest of a probe.
func (d *Driver) bootProbe(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	m, err := d.launch(ctx, spec, vmm.AccelKVM)
	if errors.Is(err, errEnded) {
		return nil, fmt.Errorf("%w with QEMU: %s", kvmprobe.ErrRefused, lastWords(spec.Dir))
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

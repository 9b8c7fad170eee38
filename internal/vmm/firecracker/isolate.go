package firecracker

import (
	"context"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
)

// Stage makes who will start spec's VMM in its enclosure, now and after each
// reboot of the guest: a process that has confined itself may mount nothing,
// and so can enclose nothing.
func (d *Driver) Stage(_ context.Context, spec vmm.Spec) (programs []string, err error) {
	if err := makeRunDir(spec.Dir); err != nil {
		return nil, err
	}
	path, err := d.binary()
	if err != nil {
		return nil, err
	}
	programs = []string{path}
	d.mu.Lock()
	staged := d.warden[spec.Dir] != nil
	d.mu.Unlock()
	if staged || len(d.cfg.Stage) == 0 {
		return programs, nil
	}
	w, err := enclose.Starter{Stage: d.cfg.Stage}.NewWarden(path, plan(spec))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warden[spec.Dir] = w
	return programs, nil
}

// notEnclosed is why this host does not let a VMM be enclosed. Nothing tells
// but to try: users' namespaces are allowed or not in many ways.
type notEnclosed struct{ reason string }

func (e *notEnclosed) Error() string { return "the VMM cannot be enclosed: " + e.reason }

// whyReduced is why a VMM is not enclosed here, as far as is known; "" where
// it shall be tried.
func (d *Driver) whyReduced() string {
	if len(d.cfg.Stage) == 0 {
		return "it was started by a program that cannot enclose it"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reduced
}

func (d *Driver) setReduced(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reduced = reason
}

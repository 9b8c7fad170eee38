package fake

import (
	"context"
	"fmt"
	"os"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// Driver runs machines on a Host. Two drivers of one host are as two
// processes on one computer.
type Driver struct{ host *Host }

var (
	_ vmm.Driver     = (*Driver)(nil)
	_ vmm.PostMortem = (*Driver)(nil)
)

// New makes a driver of host.
func New(host *Host) *Driver { return &Driver{host: host} }

// Name is "fake".
func (d *Driver) Name() string { return "fake" }

// Info says that only TCG works.
func (d *Driver) Info(ctx context.Context) (vmm.Info, error) {
	if err := d.host.at(ctx, AtInfo, vmm.Spec{}); err != nil {
		return vmm.Info{}, err
	}
	return vmm.Info{
		Name: "fake", Version: "1.0", Path: "/fake",
		Accels:    map[vmm.Accel]string{vmm.AccelTCG: "", vmm.AccelKVM: "the fake has no KVM"},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelTCG: vmm.IsolationNoPromise},
		Networks:  []network.Backend{network.BackendNone},
	}, nil
}

// Prepare wants the kernel's file, if spec names one.
func (d *Driver) Prepare(ctx context.Context, spec vmm.Spec) error {
	if spec.Kernel != "" {
		if _, err := os.Stat(spec.Kernel); err != nil {
			return fmt.Errorf("the guest kernel: %w", err)
		}
	}
	return d.host.at(ctx, AtPrepare, spec)
}

// Start makes a machine.
func (d *Driver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := d.Prepare(ctx, spec); err != nil {
		return nil, err
	}
	if err := d.host.at(ctx, AtStart, spec); err != nil {
		return nil, err
	}
	g, err := d.host.boot(spec)
	if err != nil {
		return nil, err
	}
	d.host.run(g)
	if err := d.host.at(ctx, AtStarted, spec); err != nil {
		g.end(vmm.Exit{Reason: vmm.ExitKilled})
		return nil, err
	}
	return newMachine(d.host, g), nil
}

// Connect takes a machine over.
func (d *Driver) Connect(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := d.host.at(ctx, AtConnect, spec); err != nil {
		return nil, err
	}
	g := d.host.Guest(spec.Dir)
	if g == nil || g.over() {
		return nil, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	return newMachine(d.host, g), nil
}

// LastExit says how the last machine in spec.Dir ended.
func (d *Driver) LastExit(_ context.Context, spec vmm.Spec) (vmm.Exit, error) {
	g := d.host.Guest(spec.Dir)
	switch {
	case g == nil:
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	case !g.over():
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrRunning)
	}
	return g.lastExit(), nil
}

package vm

import (
	"context"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// VMMs chooses among the VMMs of this host.
type VMMs interface {
	// Check refuses what no VMM here could run, and boots nothing to find out.
	Check(ctx context.Context, w choose.Want) error
	// Choose picks one that runs w's guest here.
	Choose(ctx context.Context, w choose.Want) (choose.Choice, error)
}

// want is what a VM asks of its VMM; name is as asked for.
func (m *Manager) want(s spec.VM, name string) choose.Want {
	w := choose.Want{VMM: name, Accel: s.Accel, Network: s.Network, DiskDriver: s.DiskDriver}
	if d, ok := m.Disks[s.DiskDriver].(disk.Formatted); ok {
		w.Format = d.Format()
	}
	return w
}

// chooseVMM binds the VM to a VMM; name is as asked for.
func (m *Manager) chooseVMM(ctx context.Context, id, name string, report operation.Report) error {
	phase(report, "choosing the VMM")
	r, err := m.Store.VMByID(ctx, id)
	if err != nil {
		return err
	}
	kernel, err := m.Kernels.Get(ctx, r.KernelID)
	if err != nil {
		return err
	}
	w := m.want(r.Spec, name)
	w.Guest = choose.Guest{Kernel: kernel.Vmlinux, Initramfs: kernel.Initramfs}
	w.Kernel, w.Lacks = kernel.Name, kernel.Lacks
	choice, err := m.VMMs.Choose(ctx, w)
	if err != nil {
		return err
	}
	return m.bindVMM(ctx, id, choice)
}

func (m *Manager) bindVMM(ctx context.Context, id string, c choose.Choice) error {
	return m.update(ctx, id, func(r *Record) { r.Spec.VMM, r.Choice = c.VMM, c })
}

// checkVMM refuses a start that can come to nothing; name is another VMM that
// was asked for, if any. A VM that runs needs no other VMM to be there.
func (m *Manager) checkVMM(ctx context.Context, r Record, name string) error {
	switch {
	case name != "":
		return m.VMMs.Check(ctx, m.want(r.Spec, name))
	case r.MayRun():
		return nil
	}
	err := m.VMMs.Check(ctx, m.want(r.Spec, r.Spec.VMM))
	if f := fault.From(err); f != nil && f.Kind == fault.Precondition {
		move := "move it: banger start --vmm auto " + r.Spec.Name
		if f.Hint != "" {
			move = strings.TrimSuffix(f.Hint, ".") + ", or " + move
		}
		f.Hint = move
		return f
	}
	return err
}

// changeVMM moves a VM that does not run to the VMM that its start asks for.
func (m *Manager) changeVMM(ctx context.Context, p startParams, report operation.Report) error {
	r, err := m.Store.VMByID(ctx, p.ID)
	switch {
	case err != nil:
		return err
	case !r.MayRun():
		return m.chooseVMM(ctx, p.ID, p.VMM, report)
	case p.VMM == r.Spec.VMM || p.VMM == choose.Auto:
		return nil
	}
	return fault.New(fault.Precondition, "Stop it first with: banger stop "+r.Spec.Name, "the VM %s runs on %s", r.Spec.Name, r.Spec.VMM)
}

// UsualVMM is the choice for a VM that asks for nothing.
func (m *Manager) UsualVMM(ctx context.Context, g choose.Guest) (choose.Choice, error) {
	w := m.want(spec.VM{}.WithDefaults(m.cfg.Defaults), "")
	w.Guest = g
	return m.VMMs.Choose(ctx, w)
}

// VMMUsers names the VMs that stand on a VMM.
func (m *Manager) VMMUsers(ctx context.Context, name string) (running, stopped []string, err error) {
	views, err := m.List(ctx, true)
	for _, v := range views {
		switch {
		case v.Spec.VMM != name:
		case v.State == Stopped || v.State == Failed:
			stopped = append(stopped, v.Spec.Name)
		default:
			running = append(running, v.Spec.Name)
		}
	}
	return running, stopped, err
}

// isolation says what sets the VM apart: that of the boot under way, or of the
// last one, or what the next one can expect.
func isolation(r Record, live *machine.Status) string {
	if live == nil && r.Boot != nil && r.Boot.VMM == r.Spec.VMM {
		live = r.Boot.Status
	}
	if live != nil && live.VMM.Isolation != "" {
		return live.VMM.Isolation.Describe(r.Spec.VMM, live.VMM.Accel)
	}
	return r.Choice.Isolation.Describe(r.Choice.VMM, r.Choice.Accel)
}

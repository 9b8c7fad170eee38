package vm

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm/sshkey"
	"github.com/banger-vm/banger/internal/vmm"
)

// Files of a VM's directory that this package makes.
const (
	workDisk   = "work.img"
	emptyDrive = "empty.img"
)

// launchSpec puts together what a monitor needs to run the VM.
func (m *Manager) launchSpec(ctx context.Context, p startParams) (machine.Launch, error) {
	r, err := m.Store.VMByID(ctx, p.ID)
	if err != nil {
		return machine.Launch{}, err
	}
	kernel, err := m.Kernels.Get(ctx, r.KernelID)
	if err != nil {
		return machine.Launch{}, err
	}
	root, drives, err := m.drives(ctx, r, kernel)
	if err != nil {
		return machine.Launch{}, err
	}
	nic, err := m.attach(ctx, r.ID)
	if err != nil {
		return machine.Launch{}, err
	}
	key, err := sshkey.Ensure(m.dir(r.ID), sshkey.Host)
	if err != nil {
		return machine.Launch{}, err
	}
	clients, err := m.Access.Key()
	if err != nil {
		return machine.Launch{}, err
	}
	return machine.Launch{
		Protocol: machine.Protocol, VMID: r.ID, BootID: p.BootID, Driver: r.Spec.VMM,
		Spec: vmm.Spec{
			Name: r.Spec.Name, Dir: m.dir(r.ID), CPUs: r.Spec.CPUs, MemoryBytes: r.Spec.MemoryBytes,
			Accel: r.Spec.Accel, Kernel: kernel.Vmlinux, Initramfs: kernel.Initramfs,
			Cmdline: []string{wire.ArgRoot + "=" + string(root.Mode), wire.ArgUser + "=" + r.User},
			Drives:  drives, Network: nic,
		},
		Identity: wire.Identity{
			Hostname: r.Spec.Name, MachineID: r.MachineID, User: r.User,
			HostKeys:       map[string][]byte{sshkey.Host: key},
			AuthorizedKeys: []string{clients},
		},
		Forwards:      r.Spec.Forwards,
		AutoForward:   r.Spec.AutoForwards(),
		BootTimeoutMS: m.cfg.BootTimeout.Milliseconds(),
	}, nil
}

// growWork makes the work disk as large as it is to be, before anybody has it
// open; the guest makes its file system so.
func (m *Manager) growWork(ctx context.Context, id string) error {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil {
		return err
	}
	if err := disk.Grow(filepath.Join(m.dir(id), workDisk), r.Spec.DiskBytes); err != nil {
		return fmt.Errorf("the work disk of %s: %w", r.Spec.Name, err)
	}
	return nil
}

// drives fills all slots; an unused one is an empty read-only drive.
func (m *Manager) drives(ctx context.Context, r Record, k Kernel) (disk.Root, []disk.Drive, error) {
	img, err := m.Images.Get(ctx, r.ImageID)
	if err != nil {
		return disk.Root{}, nil, err
	}
	driver, err := m.diskDriver(r.Spec.DiskDriver)
	if err != nil {
		return disk.Root{}, nil, err
	}
	root, err := driver.Open(m.dir(r.ID), img.Root)
	if err != nil {
		return disk.Root{}, nil, fmt.Errorf("opening the disks of %s: %w", r.Spec.Name, err)
	}
	bySlot := map[disk.Slot]disk.Drive{
		disk.SlotWork:    {Slot: disk.SlotWork, Path: workDisk},
		disk.SlotModules: {Slot: disk.SlotModules, Path: k.Modules, ReadOnly: true},
	}
	for _, d := range root.Drives {
		bySlot[d.Slot] = d
	}
	drives := make([]disk.Drive, 0, len(disk.Slots))
	for _, slot := range disk.Slots {
		d, ok := bySlot[slot]
		if !ok {
			d = disk.Drive{Slot: slot, Path: emptyDrive, ReadOnly: true}
			if err := disk.EmptyDrive(filepath.Join(m.dir(r.ID), d.Path)); err != nil {
				return disk.Root{}, nil, err
			}
		}
		d.Limit = m.cfg.DriveLimit
		drives = append(drives, d)
	}
	return root, drives, nil
}

package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

const (
	maxCPUs   = 288 // of the microvm machine
	minMemory = 64 << 20
)

const hintInstall = "sudo apt-get install qemu-system-x86"

// Prepare finds what would make Start fail.
func (d *Driver) Prepare(_ context.Context, spec vmm.Spec) error {
	if _, err := d.binary(); err != nil {
		return err
	}
	return errors.Join(checkSize(spec), checkKernel(spec.Kernel),
		checkFile("the initramfs", spec.Initramfs, unix.R_OK), checkDrives(spec), checkRest(spec))
}

// binary is QEMU's path.
func (d *Driver) binary() (string, error) {
	path, err := hostexec.LookPath(d.cfg.Binary)
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return "", fault.New(fault.Precondition, hintInstall, "QEMU is needed to run this VM: %w", err)
	}
	return path, err
}

func checkSize(spec vmm.Spec) error {
	if spec.CPUs < 1 || spec.CPUs > maxCPUs {
		return fault.New(fault.Invalid, "", "QEMU's microvm has 1 to %d vCPUs, not %d", maxCPUs, spec.CPUs)
	}
	if spec.MemoryBytes < minMemory || spec.MemoryBytes%(1<<20) != 0 {
		return fault.New(fault.Invalid, "", "a VM's memory is at least 64 MiB, in whole MiB, not %d bytes", spec.MemoryBytes)
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		return fmt.Errorf("reading this host's memory size: %w", err)
	}
	total := (host.Totalram + host.Totalswap) * uint64(host.Unit)
	if uint64(spec.MemoryBytes) > total {
		return fault.New(fault.Precondition, "give the VM less memory",
			"the VM's memory of %d MiB is more than this host's %d MiB, swap included", spec.MemoryBytes>>20, total>>20)
	}
	return nil
}

// checkKernel wants a vmlinux; a bzImage would only boot with firmware.
func checkKernel(path string) error {
	if err := checkFile("the guest kernel", path, unix.R_OK); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the guest kernel: %w", err)
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || !bytes.Equal(magic[:], []byte("\x7fELF")) {
		return fault.New(fault.Precondition, "extract vmlinux from it first", "the guest kernel %s is no ELF file", path)
	}
	return nil
}

// checkFile wants a regular file that we may open so.
func checkFile(what, path string, mode uint32) error {
	if !filepath.IsAbs(path) {
		return fault.New(fault.Invalid, "", "%s must be an absolute path, not %q", what, path)
	}
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.Precondition, "", "%s %s is missing: %w", what, path, os.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("looking at %s: %w", what, err)
	}
	if !st.Mode().IsRegular() {
		return fault.New(fault.Precondition, "", "%s %s is not a regular file", what, path)
	}
	if err := unix.Access(path, mode); err != nil {
		return fault.New(fault.Precondition, "", "%s %s cannot be used: %w", what, path, err)
	}
	return nil
}

func checkDrives(spec vmm.Spec) error {
	if len(spec.Drives) != len(disk.Slots) {
		return fault.New(fault.Invalid, "", "a machine has %d drives, not %d", len(disk.Slots), len(spec.Drives))
	}
	for i, drive := range spec.Drives {
		if drive.Slot != disk.Slots[i] {
			return fault.New(fault.Invalid, "", "drive %d must be %s, not %q", i+1, disk.Slots[i], drive.Slot)
		}
		path, mode := drive.Path, uint32(unix.R_OK)
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.Dir, path)
		}
		if !drive.ReadOnly {
			mode |= unix.W_OK
		}
		if err := checkFile("drive "+string(drive.Slot), path, mode); err != nil {
			return err
		}
	}
	return nil
}

func checkRest(spec vmm.Spec) error {
	switch spec.Accel {
	case vmm.AccelAuto, vmm.AccelKVM, vmm.AccelTCG:
	default:
		return fault.New(fault.Invalid, "use auto, kvm or tcg", "there is no accelerator %q", spec.Accel)
	}
	if _, err := networkArgs(spec.Network); err != nil {
		return err
	}
	if !filepath.IsAbs(spec.Dir) {
		return fault.New(fault.Invalid, "", "the VM's directory must be an absolute path, not %q", spec.Dir)
	}
	if st, err := os.Stat(spec.Dir); err != nil || !st.IsDir() {
		return fault.New(fault.Precondition, "", "the VM's directory %s is missing", spec.Dir)
	}
	return nil
}

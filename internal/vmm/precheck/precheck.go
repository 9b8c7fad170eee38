// Package precheck finds what would make any VMM fail to start a machine, in
// sentences.
package precheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vmm"
)

const minMemory = 64 << 20

// Spec checks all that does not depend on the VMM.
func Spec(spec vmm.Spec) error {
	return errors.Join(memory(spec), Kernel(spec.Kernel),
		File("the initramfs", spec.Initramfs, unix.R_OK), Drives(spec), accel(spec.Accel), dir(spec.Dir))
}

func memory(spec vmm.Spec) error {
	if spec.MemoryBytes < minMemory || spec.MemoryBytes%(1<<20) != 0 {
		return fault.New(fault.Invalid, "", "a VM's memory is at least 64 MiB, in whole MiB, not %d bytes", spec.MemoryBytes)
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		return fmt.Errorf("reading this host's memory size: %w", err)
	}
	total := (host.Totalram + host.Totalswap) * uint64(host.Unit)
	if uint64(spec.MemoryBytes) > total {
		return fault.New(fault.Precondition, "Give the VM less memory.",
			"the VM's memory of %d MiB is more than this host's %d MiB, swap included", spec.MemoryBytes>>20, total>>20)
	}
	return nil
}

// Kernel wants a vmlinux; a bzImage would only boot with firmware.
func Kernel(path string) error {
	if err := File("the guest kernel", path, unix.R_OK); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the guest kernel: %w", err)
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || !bytes.Equal(magic[:], []byte("\x7fELF")) {
		return fault.New(fault.Precondition, "Extract vmlinux from it first.", "the guest kernel %s is no ELF file", path)
	}
	return nil
}

// File wants a regular file that we may open so.
func File(what, path string, mode uint32) error {
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

// Drives wants one per slot, in their order, each to be used as the spec says.
func Drives(spec vmm.Spec) error {
	if len(spec.Drives) != len(disk.Slots) {
		return fault.New(fault.Invalid, "", "a machine has %d drives, not %d", len(disk.Slots), len(spec.Drives))
	}
	for i, drive := range spec.Drives {
		if drive.Slot != disk.Slots[i] {
			return fault.New(fault.Invalid, "", "drive %d must be %s, not %q", i+1, disk.Slots[i], drive.Slot)
		}
		path, mode := DrivePath(spec, drive), uint32(unix.R_OK)
		if !drive.ReadOnly {
			mode |= unix.W_OK
		}
		if err := errors.Join(File("drive "+string(drive.Slot), path, mode), format(drive)); err != nil {
			return err
		}
	}
	return nil
}

// format wants what the drive's format needs.
func format(d disk.Drive) error {
	switch {
	case d.Format == disk.FormatRaw && d.Backing == "":
		return nil
	case d.Format == disk.FormatQCOW2:
		return File("the file below drive "+string(d.Slot), d.Backing, unix.R_OK)
	}
	return fault.New(fault.Invalid, "", "drive %s cannot have the format %q and the file %q below it", d.Slot, d.Format, d.Backing)
}

// Raw refuses drives of another format, for a VMM that knows none.
func Raw(spec vmm.Spec) error {
	for _, d := range spec.Drives {
		if d.Format != disk.FormatRaw {
			return fault.New(fault.Precondition, "Use another VMM: banger vmm ls.", "drive %s is in the format %s: %w", d.Slot, d.Format, vmm.ErrUnsupported)
		}
	}
	return nil
}

// DrivePath is the absolute path of a drive's file.
func DrivePath(spec vmm.Spec, d disk.Drive) string {
	if filepath.IsAbs(d.Path) {
		return d.Path
	}
	return filepath.Join(spec.Dir, d.Path)
}

func accel(a vmm.Accel) error {
	switch a {
	case vmm.AccelAuto, vmm.AccelKVM, vmm.AccelTCG:
		return nil
	}
	return fault.New(fault.Invalid, "Use auto, kvm or tcg.", "there is no accelerator %q", a)
}

func dir(path string) error {
	if !filepath.IsAbs(path) {
		return fault.New(fault.Invalid, "", "the VM's directory must be an absolute path, not %q", path)
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return fault.New(fault.Precondition, "", "the VM's directory %s is missing", path)
	}
	return nil
}

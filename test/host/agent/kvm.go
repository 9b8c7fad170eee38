package main

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/kvm.h.
const (
	kvmCreateVM      = 0xae01
	kvmCreateVCPU    = 0xae41
	kvmCreateIRQChip = 0xae60
	kvmGetSregs      = 0x8138ae83
	kvmSetSregs      = 0x4138ae84

	sregsSize     = 312
	sregsAPICBase = 272
	apicEnabled   = 1 << 11
)

// keepVMs makes virtual machines that never run and are there as long as the
// host. Without them the kernel would rewrite its own scheduler, and KVM itself,
// whenever the first machine comes or the last one goes (static keys: who wants
// to hear of a switch, which APICs are off, which processor has none). QEMU
// before 8.1 may run the breakpoint that is put there meanwhile for ever, if
// another processor translates that code just then, and the host hangs.
func keepVMs() error {
	if err := keepVM(kvmCreateIRQChip, 2); err != nil {
		return err
	}
	return keepVM(0, 1)
}

// keepVM makes a machine with a chip, where one is asked for, and processors,
// whose APICs are off by software; the last one's also by hardware.
func keepVM(chip uint, cpus uintptr) error {
	dev, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening KVM: %w", err)
	}
	defer unix.Close(dev)
	vm, err := ioctl(uintptr(dev), kvmCreateVM, 0) // stays open
	if err != nil {
		return fmt.Errorf("making a machine: %w", err)
	}
	if chip != 0 {
		if _, err := ioctl(vm, chip, 0); err != nil {
			return fmt.Errorf("making its interrupt chip: %w", err)
		}
	}
	for i := range cpus {
		cpu, err := ioctl(vm, kvmCreateVCPU, i)
		if err != nil {
			return fmt.Errorf("making its processor: %w", err)
		}
		if chip == 0 || i+1 < cpus {
			continue
		}
		if err := disableAPIC(cpu); err != nil {
			return fmt.Errorf("disabling its processor's APIC: %w", err)
		}
	}
	return nil
}

func disableAPIC(cpu uintptr) error {
	var sregs [sregsSize]byte
	if err := registers(cpu, kvmGetSregs, &sregs); err != nil {
		return err
	}
	base := sregs[sregsAPICBase : sregsAPICBase+8]
	binary.LittleEndian.PutUint64(base, binary.LittleEndian.Uint64(base)&^apicEnabled)
	return registers(cpu, kvmSetSregs, &sregs)
}

func registers(cpu uintptr, call uint, sregs *[sregsSize]byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, cpu, uintptr(call), uintptr(unsafe.Pointer(sregs))); errno != 0 {
		return errno
	}
	return nil
}

// ioctl is one with a number as its argument, and one as its answer.
func ioctl(fd uintptr, call uint, arg uintptr) (uintptr, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(call), arg)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

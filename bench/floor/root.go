package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mountKernel mounts the kernel's own file systems.
func mountKernel() error {
	for _, m := range []struct{ kind, target string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	return nil
}

// loadModules inserts the initramfs's modules in the order of its list.
func loadModules() error {
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return err
		}
		flags := 0
		if !strings.HasSuffix(name, ".ko") {
			flags = 4 // MODULE_INIT_COMPRESSED_FILE
		}
		err = unix.FinitModule(int(f.Fd()), "", flags)
		if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("inserting %s: %w", name, err)
		}
	}
	return nil
}

// enterRoot joins base and COW layer, mounts root and home, and moves there.
func enterRoot() error {
	for _, drive := range []string{"/dev/vda", "/dev/vdb", "/dev/vdc"} {
		for start := time.Now(); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(drive); err == nil {
				break
			} else if time.Since(start) > 10*time.Second {
				return err
			}
		}
	}
	if err := join(); err != nil {
		return fmt.Errorf("joining base and COW layer: %w", err)
	}
	err := errors.Join(
		unix.Mount("/dev/dm-0", "/newroot", "ext4", 0, ""),
		unix.Mount("/dev/vdb", "/newroot"+home, "ext4", 0, ""),
	)
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		err = errors.Join(err, unix.Mount(dir, "/newroot"+dir, "", unix.MS_MOVE, ""))
	}
	return errors.Join(err, os.Chdir("/newroot"), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/"))
}

// join makes /dev/dm-0 of vda and vdc: a persistent dm-snapshot with chunks of
// 16 KiB, as banger's.
func join() error {
	size, err := os.ReadFile("/sys/class/block/vda/size")
	if err != nil {
		return err
	}
	sectors, err := strconv.ParseUint(strings.TrimSpace(string(size)), 10, 64)
	if err != nil {
		return err
	}
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	for _, cmd := range []uintptr{unix.DM_DEV_CREATE, unix.DM_TABLE_LOAD, unix.DM_DEV_SUSPEND} {
		if err := deviceMapper(control, cmd, sectors); err != nil {
			return err
		}
	}
	return nil
}

func deviceMapper(control int, cmd uintptr, sectors uint64) error {
	var buf [512]uint64 // aligned for the structs in it
	head := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	head.Version = [3]uint32{unix.DM_VERSION_MAJOR, 0, 0}
	head.Data_size, head.Data_start = uint32(unsafe.Sizeof(buf)), unix.SizeofDmIoctl
	copy(head.Name[:], "floor")
	if cmd == unix.DM_TABLE_LOAD {
		head.Target_count = 1
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), unsafe.Sizeof(buf))[unix.SizeofDmIoctl:]
		target := (*unix.DmTargetSpec)(unsafe.Pointer(&bytes[0]))
		target.Length = sectors
		copy(target.Target_type[:], "snapshot")
		copy(bytes[unix.SizeofDmTargetSpec:], "/dev/vda /dev/vdc P 32")
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(control), cmd, uintptr(unsafe.Pointer(head))); errno != 0 {
		return errno
	}
	return nil
}

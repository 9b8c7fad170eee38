package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The disks, in the order of the machine's arguments.
const (
	rootDisk    = "/dev/vda"
	modulesDisk = "/dev/vdb"
	payloadDisk = "/dev/vdc"
)

// newRoot is where the initramfs mounts the root.
const newRoot = "/newroot"

// placed is where the unit of the image finds this program; /run is kept when
// systemd starts.
const placed = "/run/test-host/agent"

// diskWait bounds the wait for a disk: the bus is searched in the background.
const diskWait = 20 * time.Second

// boot goes from the initramfs to systemd; it returns only if that fails.
func boot() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return err
	}
	modules := filepath.Join(newRoot, "lib/modules", unix.ByteSliceToString(host.Release[:]))
	if err := mountDisk(rootDisk, newRoot, 0); err != nil {
		return err
	}
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return err
	}
	if err := mountDisk(modulesDisk, modules, unix.MS_RDONLY); err != nil {
		return err
	}
	if err := place(); err != nil {
		return fmt.Errorf("placing the agent: %w", err)
	}
	return enter()
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
			flags = unix.MODULE_INIT_COMPRESSED_FILE
		}
		err = unix.FinitModule(int(f.Fd()), "", flags)
		if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("inserting %s: %w", name, err)
		}
	}
	return nil
}

// mountDisk mounts an ext4 once its device is there.
func mountDisk(device, at string, flags uintptr) error {
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Mount(device, at, "ext4", flags, "")
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENXIO) || time.Since(start) > diskWait {
			return fmt.Errorf("mounting %s: %w", device, err)
		}
	}
}

// place copies this program to the new root's /run.
func place() error {
	run := filepath.Join(newRoot, "run")
	if err := unix.Mount("tmpfs", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	body, err := os.ReadFile("/init")
	if err != nil {
		return err
	}
	to := filepath.Join(newRoot, placed)
	return errors.Join(os.Mkdir(filepath.Dir(to), 0o755), os.WriteFile(to, body, 0o755))
}

// enter makes the new root the root and this process its init.
func enter() error {
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", dir, err)
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := errors.Join(unix.Chroot("."), os.Chdir("/")); err != nil {
		return err
	}
	return fmt.Errorf("starting systemd: %w", unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"TERM=linux"}))
}

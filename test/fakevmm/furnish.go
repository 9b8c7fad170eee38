package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// devices are those of the host that a guest has too.
var devices = map[string][2]uint32{
	"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0},
}

// portDevice is the name of the agent's port.
const portDevice = "vport0p1"

const (
	nosuid = unix.MS_NOSUID
	plain  = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
)

// furnish makes what a kernel would: a root in memory that holds the
// initramfs's /init, with /proc, /sys and /dev of a machine. It is not the
// host's devtmpfs, nor its sysfs, through which a guest could change the host.
func (g *guest) furnish(init []byte) error {
	root := g.Root
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, dir := range []string{"proc", "sys", "dev", "newroot", "base", "layer", "old"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(root, "init"), init, 0o755),
		g.makeDev(filepath.Join(root, "dev")),
		g.makeSys(filepath.Join(root, "sys")),
		mount("proc", filepath.Join(root, "proc"), "proc", plain, ""),
	)
	if err != nil {
		return err
	}
	if err := g.makeProc(filepath.Join(root, "proc")); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, filepath.Join(root, "old")); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	return errors.Join(os.Chdir("/"), unix.Unmount("/old", unix.MNT_DETACH))
}

// makeDev makes the devices: terminals of the host as the console and the
// agent's port, and block devices of the host as the drives.
func (g *guest) makeDev(dev string) error {
	if err := mount("devtmpfs", dev, "tmpfs", nosuid, "mode=0755"); err != nil {
		return err
	}
	for name, number := range devices {
		if err := mknod(filepath.Join(dev, name), unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm"} {
		if err := os.Mkdir(filepath.Join(dev, name), 0o755); err != nil {
			return err
		}
	}
	if err := mount("devpts", filepath.Join(dev, "pts"), "devpts", nosuid|unix.MS_NOEXEC, "newinstance,gid=5,mode=620,ptmxmode=666"); err != nil {
		return err
	}
	if err := os.Symlink("pts/ptmx", filepath.Join(dev, "ptmx")); err != nil {
		return err
	}
	for name, from := range map[string]string{"console": g.Console, "ttyS0": g.Console, "kmsg": g.Console, portDevice: g.Port} {
		if err := bind(from, filepath.Join(dev, name), 0); err != nil {
			return err
		}
	}
	for _, d := range g.Drives {
		path := filepath.Join(dev, string(d.Slot))
		if d.Device == 0 {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			continue
		}
		if err := mknod(path, unix.S_IFBLK|0o600, d.Device); err != nil {
			return err
		}
	}
	return nil
}

// makeSys makes the few files of sysfs that somebody looks for.
func (g *guest) makeSys(sys string) error {
	if err := mount("sysfs", sys, "tmpfs", plain, "mode=0755"); err != nil {
		return err
	}
	files := map[string]string{filepath.Join("class/virtio-ports", portDevice, "name"): wire.PortName + "\n", "class/net/lo/mtu": "65536\n"}
	for _, d := range g.Drives {
		for _, dir := range []string{"block", "class/block"} {
			files[filepath.Join(dir, string(d.Slot), "size")] = strconv.FormatInt(d.Sectors, 10) + "\n"
		}
	}
	for name, text := range files {
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o444); err != nil {
			return err
		}
	}
	return nil
}

// makeProc keeps the guest from the host's settings and gives it a boot ID of
// its own.
func (g *guest) makeProc(proc string) error {
	id := filepath.Join(filepath.Dir(proc), "boot_id")
	if err := os.WriteFile(id, []byte(g.BootID+"\n"), 0o444); err != nil {
		return err
	}
	if err := bind(id, filepath.Join(proc, "sys/kernel/random/boot_id"), 0); err != nil {
		return err
	}
	for _, name := range []string{"sys", "irq", "bus", "fs"} {
		if err := bind(filepath.Join(proc, name), filepath.Join(proc, name), unix.MS_RDONLY); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{"kcore", "kmsg", "sysrq-trigger"} {
		if err := bind(os.DevNull, filepath.Join(proc, name), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", kind, target, err)
	}
	return nil
}

// bind makes from appear at to, whose file is made if it is not there.
func bind(from, to string, flags uintptr) error {
	if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(to, nil, 0o600); err != nil {
			return err
		}
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, to, err)
	}
	if flags == 0 {
		return nil
	}
	if err := unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, to, err)
	}
	return nil
}

func mknod(path string, mode uint32, device int) error {
	if err := unix.Mknod(path, mode, device); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return os.Chmod(path, os.FileMode(mode&0o777)) // whatever the umask
}

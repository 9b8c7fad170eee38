package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// mount is a file system without a drive.
type mount struct {
	kind, target string
	flags        uintptr
	data         string
}

var (
	kernelMounts = [...]mount{
		{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
	}
	rootMounts = [...]mount{
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	}
	cgroupMounts = [...]mount{
		{"cgroup2", "/sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
	}
)

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("making the directory %s: %w", m.target, err)
		}
		if err := unix.Mount(m.kind, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.target, err)
		}
	}
	return nil
}

// switchRoot makes the file system at dir the root of this process, and gives
// the initramfs's memory back. Nothing is mounted in the old root any more.
func switchRoot(dir string) error {
	old, err := os.OpenRoot("/")
	if err != nil {
		return fmt.Errorf("opening the initramfs: %w", err)
	}
	defer old.Close()
	for _, m := range kernelMounts {
		if err := unix.Unmount(m.target, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting the initramfs's %s: %w", m.target, err)
		}
	}
	err = errors.Join(os.Chdir(dir), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/"))
	if err != nil {
		return fmt.Errorf("moving into the root file system: %w", err)
	}
	for _, name := range []string{"modules", "modules.list", "init"} {
		if err := old.RemoveAll(name); err != nil {
			return fmt.Errorf("giving back the initramfs's memory: %w", err)
		}
	}
	return nil
}

// unhurried lets do run with little of a processor that others want: the first
// command comes at just that time.
func unhurried(do func() error) error {
	const self, low, usual = 0, 10, 0
	runtime.LockOSThread() // it is a thread that has a priority
	defer runtime.UnlockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, self, low); err != nil {
		return err
	}
	return errors.Join(do(), unix.Setpriority(unix.PRIO_PROCESS, self, usual))
}

// placeSelf copies banger-guest to where the units and the shutdown find it.
func placeSelf(self *os.File) error {
	defer self.Close()
	f, err := os.OpenFile(guestPath, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, self)
	return errors.Join(err, f.Close())
}

// mountModules mounts the kernel's modules where modprobe looks for them.
func mountModules() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("asking for the kernel's release: %w", err)
	}
	if ok, err := holdsExt4(modulesDrive); err != nil || !ok {
		return errors.Join(errors.New("there is no disk with the kernel's modules"), err)
	}
	dir := filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of the kernel's modules: %w", err)
	}
	if err := unix.Mount(modulesDrive, dir, "ext4", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("mounting the kernel's modules: %w", err)
	}
	return nil
}

package enclose

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
)

// inside is the stage: alone in its namespaces it builds the root, gives up
// what it can do there, and becomes the program.
func inside(encoded string) error {
	runtime.LockOSThread() // capabilities belong to threads
	var p Plan
	if err := json.Unmarshal([]byte(encoded), &p); err != nil {
		return fmt.Errorf("reading the enclosure's plan: %w", err)
	}
	if len(p.Args) == 0 {
		return errors.New("the enclosure's plan has no program")
	}
	unix.Umask(0o077)
	if err := plug(p.Wire); err != nil {
		return err
	}
	if err := build(p); err != nil {
		return err
	}
	if err := enter(p.Root); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("vmm")); err != nil {
		return fmt.Errorf("naming the enclosure: %w", err)
	}
	if err := renounce(); err != nil {
		return err
	}
	return fmt.Errorf("starting the program in its enclosure: %w", syscall.Exec(Program, p.Args, p.Env))
}

// plug makes the network card's other end, which is held at fd.
func plug(fd int) error {
	if fd == 0 {
		return nil
	}
	f, err := wire.Make(innerID)
	if err != nil {
		return err
	}
	defer f.Close()
	return wire.Pass(f, fd)
}

// build makes the root at p.Root.
func build(p Plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("setting the enclosure's mounts apart: %w", err)
	}
	if err := unix.Mount("tmpfs", p.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=64k,nr_inodes=64"); err != nil {
		return fmt.Errorf("mounting the enclosure's root: %w", err)
	}
	binds := append([]Bind{{From: p.Dir, To: RunDir, Writable: true}}, p.Binds...)
	for _, b := range binds {
		if err := bind(p.Root, b); err != nil {
			return fmt.Errorf("binding %s into the enclosure: %w", b.From, err)
		}
	}
	return protect(p.Root, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOEXEC)
}

func bind(root string, b Bind) error {
	to := filepath.Join(root, filepath.Clean("/"+b.To))
	info, err := os.Stat(b.From)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(to, 0o755)
	} else {
		err = os.WriteFile(to, nil, 0o600)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(b.From, to, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	var attr uint64
	if !b.Writable && !b.Device {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	if !b.Device {
		attr |= unix.MOUNT_ATTR_NODEV
	}
	if b.To != Program {
		attr |= unix.MOUNT_ATTR_NOEXEC
	}
	return protect(to, attr)
}

// protect adds to what may not be done below a mount; it takes nothing away,
// which the host's own mounts would not let it.
func protect(path string, attr uint64) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW,
		&unix.MountAttr{Attr_set: attr | unix.MOUNT_ATTR_NOSUID})
	if err != nil {
		return fmt.Errorf("protecting a mount: %w", err)
	}
	return nil
}

// enter makes root the root, and lets go of the old one.
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("entering the enclosure: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root comes to lie over the new one
		return fmt.Errorf("changing to the enclosure's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the host's root: %w", err)
	}
	if err := unix.Chdir(RunDir); err != nil {
		return fmt.Errorf("entering the enclosure: %w", err)
	}
	return nil
}

// renounce gives up every capability, for good, and the right to dump memory
// that is the guest's.
func renounce() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		// A kernel that does not know one says so.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("giving up capabilities: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("giving up core dumps: %w", err)
	}
	return nil
}

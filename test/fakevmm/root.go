package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
)

// lax spares the drives' files the flushes of their file systems: a VMM that is
// killed loses nothing, and a host that loses its power loses a test.
const lax = "nobarrier"

const (
	baseDrive  = "/dev/" + string(disk.SlotBase)
	workDrive  = "/dev/" + string(disk.SlotWork)
	layerDrive = "/dev/" + string(disk.SlotLayer)
)

// makeRoot mounts the root file system of the disks at dir.
func (g *guest) makeRoot(dir string) error {
	if g.root == disk.RootRaw {
		return mount(baseDrive, dir, "ext4", 0, lax)
	}
	if err := mount(baseDrive, "/base", "ext4", unix.MS_RDONLY, "noload"); err != nil {
		return err
	}
	if err := mount(layerDrive, "/layer", "ext4", 0, lax); err != nil {
		return err
	}
	for _, name := range []string{"/layer/upper", "/layer/work"} {
		if err := os.Mkdir(name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := mount("root", dir, "overlay", 0, "lowerdir=/base,upperdir=/layer/upper,workdir=/layer/work"); err != nil {
		return err
	}
	// The overlay holds them.
	return errors.Join(unix.Unmount("/base", unix.MNT_DETACH), unix.Unmount("/layer", unix.MNT_DETACH))
}

// format makes a file system of a layer that is new. What a guest with a kernel
// would keep there, by its dm-snapshot, is another format: a VM cannot change
// between this VMM and another one.
func format(layer string) error {
	const magicAt, magic = 1024 + 56, "\x53\xef"
	f, err := os.Open(layer)
	if err != nil {
		return fmt.Errorf("opening the layer: %w", err)
	}
	defer f.Close()
	head := make([]byte, magicAt+len(magic))
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("reading the layer: %w", err)
	}
	if string(head[magicAt:]) == magic {
		return nil
	}
	if strings.Trim(string(head), "\x00") != "" {
		return errors.New("the layer was written by a guest with a kernel")
	}
	out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", layer).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a file system of the layer: %w: %.200s", err, out)
	}
	return nil
}

// enterRoot makes the root file system, moves into it and mounts the rest.
func (g *guest) enterRoot() error {
	const dir = "/newroot"
	if err := g.makeRoot(dir); err != nil {
		return err
	}
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		if err := os.MkdirAll(dir+name, 0o755); err != nil {
			return err
		}
		if err := mount(name, dir+name, "", unix.MS_MOVE, ""); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chdir(dir), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("moving into the root: %w", err)
	}
	for target, mode := range map[string]string{"/dev/shm": "mode=1777", "/run": "mode=0755"} {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := mount("tmpfs", target, "tmpfs", nosuid|unix.MS_NODEV, mode); err != nil {
			return err
		}
	}
	return nil
}

// mountHome mounts the work disk on the login user's home.
func (g *guest) mountHome() (home string, _ error) {
	if !g.has(disk.SlotWork) {
		return "", errors.New("there is no work disk")
	}
	home, uid, gid, err := lookUp(g.user)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	if err := mount(workDrive, home, "ext4", 0, lax); err != nil {
		return "", err
	}
	return home, os.Chown(home, uid, gid)
}

// lookUp finds a user of the image, which a test made or trusts.
func lookUp(name string) (home string, uid, gid int, err error) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return "", 0, 0, err
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		fields := strings.Split(scan.Text(), ":")
		if len(fields) != 7 || fields[0] != name || !filepath.IsAbs(fields[5]) {
			continue
		}
		uid, err1 := strconv.Atoi(fields[2])
		gid, err2 := strconv.Atoi(fields[3])
		return filepath.Clean(fields[5]), uid, gid, errors.Join(err1, err2)
	}
	return "", 0, 0, fmt.Errorf("the image has no user %.40q", name)
}

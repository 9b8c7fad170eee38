package power

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount is a line of mountinfo.
type mount struct {
	target   string
	kind     string
	source   string
	readOnly bool // of the file system, not only of this mount
}

// onDisk says that the file system can lose something.
func (m mount) onDisk() bool { return strings.HasPrefix(m.source, "/dev/") && m.kind != "devtmpfs" }

// ours says that a shutdown needs it to the end.
func (m mount) ours() bool {
	switch m.kind {
	case "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "rootfs":
		return true
	case "tmpfs":
		return m.target == "/" || strings.HasPrefix(m.target, "/run") || strings.HasPrefix(m.target, "/dev")
	}
	return false
}

// parseMounts reads mountinfo (proc(5)): oldest mount first. Lines that are
// none are left out.
func parseMounts(r io.Reader) ([]mount, error) {
	var mounts []mount
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		left, right, ok := strings.Cut(scan.Text(), " - ")
		head, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(head) < 6 || len(tail) < 3 {
			continue
		}
		mounts = append(mounts, mount{
			target: unescape(head[4]), kind: tail[0], source: unescape(tail[1]),
			readOnly: slices.Contains(strings.Split(tail[2], ","), "ro"),
		})
	}
	return mounts, scan.Err()
}

// unescape undoes the kernel's \040 and the like.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

func mounts() ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMounts(f)
}

// Flushed says whether every disk is read-only or unmounted.
func Flushed() (bool, error) {
	all, err := mounts()
	if err != nil {
		return false, fmt.Errorf("reading what is mounted: %w", err)
	}
	return flushed(all), nil
}

func flushed(all []mount) bool {
	return !slices.ContainsFunc(all, func(m mount) bool { return m.onDisk() && !m.readOnly })
}

// unmountAll unmounts what it can, the newest first, and makes the rest
// read-only.
func unmountAll() error {
	all, err := mounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range slices.Backward(all) {
		if m.ours() {
			continue
		}
		if m.target != "/" && unix.Unmount(m.target, unix.UMOUNT_NOFOLLOW) == nil {
			continue
		}
		if !m.onDisk() || m.readOnly {
			continue
		}
		if err := unix.Mount("", m.target, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			errs = append(errs, fmt.Errorf("making %s read-only: %w", m.target, err))
		}
	}
	return errors.Join(errs...)
}

// Package sandbox confines a monitor, and the VMM that it starts, to the files
// of its VM: no new privileges, and Landlock where the kernel has it
// (docs.kernel.org/userspace-api/landlock.html).
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrUnavailable says that this kernel has no Landlock.
var ErrUnavailable = errors.New("this kernel has no Landlock")

// Access is what may be done below a path.
type Access uint64

// The accesses. Devices keep their ioctls.
const (
	Read  Access = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	Exec  Access = Read | unix.LANDLOCK_ACCESS_FS_EXECUTE
	Write Access = Read | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_REFER
)

// Rule allows Access to Path and all below it.
type Rule struct {
	Path   string
	Access Access
}

const (
	fileOnly = Access(unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_TRUNCATE)
	// By version: 13 rights at first, then refer, then truncate.
	firstRights    = 1<<13 - 1
	referVersion   = 2
	truncVersion   = 3
	referAndBefore = firstRights | unix.LANDLOCK_ACCESS_FS_REFER
	truncAndBefore = referAndBefore | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// NoNewPrivileges gives up all that a set-user-ID program could give, for every
// thread and all children.
func NoNewPrivileges() error {
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("giving up new privileges: %w", e)
	}
	return nil
}

// Confine allows this process and its later children the rules and nothing
// else of the file system; paths that do not exist are skipped. It needs
// NoNewPrivileges before. It cannot be taken back.
func Confine(rules []Rule) error {
	rights, err := supported()
	if err != nil {
		return err
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: rights}
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if e != 0 {
		return fmt.Errorf("making a Landlock ruleset: %w", e)
	}
	ruleset := int(fd)
	defer unix.Close(ruleset)
	for _, r := range rules {
		if err := allow(ruleset, r, Access(rights)); err != nil {
			return fmt.Errorf("allowing %s: %w", r.Path, err)
		}
	}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); e != 0 {
		return fmt.Errorf("confining the process: %w", e)
	}
	return nil
}

// Available tells ErrUnavailable where this kernel has no Landlock.
func Available() error {
	_, err := supported()
	return err
}

// supported returns the rights that this kernel knows, of those we handle.
func supported() (uint64, error) {
	version, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case e != 0:
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, e)
	case version < referVersion:
		return firstRights, nil
	case version < truncVersion:
		return referAndBefore, nil
	}
	return truncAndBefore, nil
}

func allow(ruleset int, r Rule, rights Access) error {
	fd, err := unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	info, err := os.Stat(r.Path)
	if err != nil {
		return err
	}
	access := r.Access & rights
	if !info.IsDir() {
		access &= fileOnly
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: uint64(access), Parent_fd: int32(fd)}
	_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

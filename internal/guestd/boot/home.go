package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guestd/growfs"
)

// account is a user of the image.
type account struct {
	uid, gid int
	home     string
}

const maxPasswd = 1 << 20

// lookUp finds a user in a passwd file, which the image wrote.
func lookUp(passwd io.Reader, name string) (account, error) {
	scan := bufio.NewScanner(io.LimitReader(passwd, maxPasswd))
	for scan.Scan() {
		f := strings.Split(scan.Text(), ":")
		if len(f) != 7 || f[0] != name {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 31)
		gid, err2 := strconv.ParseUint(f[3], 10, 31)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("the image's entry for the user %.40q is broken: %w", name, err)
		}
		home := filepath.Clean(f[5])
		if !filepath.IsAbs(home) || home == "/" {
			return account{}, fmt.Errorf("the user %.40q has no home that a disk could be mounted on (%.80q)", name, f[5])
		}
		return account{uid: int(uid), gid: int(gid), home: home}, nil
	}
	return account{}, errors.Join(fmt.Errorf("the image has no user %.40q", name), scan.Err())
}

// mountHome mounts the work disk on the login user's home. The process lives
// in the root already, so no link in the image leads out of it.
func (b *boot) mountHome() error {
	b.report.User = b.args.user
	if ok, err := holdsExt4(WorkDrive); err != nil || !ok {
		return errors.Join(errors.New("there is no work disk"), err)
	}
	if b.args.user == "" {
		return errors.New("the work disk is not mounted: the image names no login user")
	}
	passwd, err := os.Open("/etc/passwd")
	if err != nil {
		return fmt.Errorf("the work disk is not mounted: %w", err)
	}
	defer passwd.Close()
	user, err := lookUp(passwd, b.args.user)
	if err != nil {
		return fmt.Errorf("the work disk is not mounted: %w", err)
	}
	if err := os.MkdirAll(user.home, 0o755); err != nil {
		return fmt.Errorf("making the login user's home: %w", err)
	}
	if err := unix.Mount(WorkDrive, user.home, "ext4", 0, growfs.MountOptions); err != nil {
		return fmt.Errorf("mounting the work disk on %s: %w", user.home, err)
	}
	b.report.Home = user.home
	if _, err := growfs.Grow(WorkDrive, user.home); err != nil {
		b.note("the work disk is not as large as it could be: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(user.home, &st); err != nil {
		return fmt.Errorf("looking at the work disk: %w", err)
	}
	if int(st.Uid) == user.uid && int(st.Gid) == user.gid {
		return nil
	}
	if err := os.Chown(user.home, user.uid, user.gid); err != nil {
		return fmt.Errorf("giving the work disk to its user: %w", err)
	}
	return nil
}

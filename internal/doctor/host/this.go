package host

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// This is the host that this process runs on, as far as the kernel tells of it;
// the facts that other packages find out are left to be filled in.
func This() Facts {
	return Facts{
		Root: os.DirFS("/"), UID: os.Geteuid(), User: UserName(), Getenv: os.Getenv, Groups: os.Getgroups,
		Find: func(program string) error {
			_, err := hostexec.LookPath(program)
			return err
		},
		Release: kernelRelease, OpenFiles: openFiles, ClockSynced: clockSynced, Now: time.Now,
	}
}

// UserName is the user that this process runs as, by number where there is no
// name.
func UserName() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

func kernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("asking for the kernel's release: %w", err)
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}

func openFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking how many files may be open: %w", err)
	}
	return limit.Max, nil
}

func clockSynced() (bool, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, err
	}
	return t.Status&unix.STA_UNSYNC == 0, nil
}

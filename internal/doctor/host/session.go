package host

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/doctor"
)

// Units is the service manager of the user, as far as these checks need it.
type Units interface {
	// Version of the systemd that answers; ErrNoUnits where there is none.
	Version(ctx context.Context) (string, error)
	// Lingers reports whether it goes on without a session.
	Lingers(ctx context.Context) (bool, error)
}

// ErrNoUnits says that no systemd looks after the user's processes.
var ErrNoUnits = errors.New("no systemd looks after this user's processes")

func session(f Facts) []doctor.Check {
	return []doctor.Check{
		{Name: "runtime-dir-variable", Theme: themeUser, Look: f.runtimeDir},
		{Name: "systemd", Theme: themeUser, Look: f.systemd},
		{Name: "linger", Theme: themeUser, Look: f.linger},
		{Name: "newuidmap", Theme: themeUser, Look: f.newuidmap},
		{Name: "subordinate-ids", Theme: themeUser, Look: f.subordinates},
	}
}

func (f Facts) runtimeDir(context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	dir := f.Getenv("XDG_RUNTIME_DIR")
	fix := doctor.Fix{
		Command: "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
		Hint:    "A login sets it; su and sudo do not. Without it this user's systemd is not found by all programs.",
	}
	if dir == "" {
		return doctor.Bad(doctor.Warn, fix, "XDG_RUNTIME_DIR is not set")
	}
	if !filepath.IsAbs(dir) {
		return doctor.Bad(doctor.Warn, fix, "XDG_RUNTIME_DIR is no absolute path: %q", dir)
	}
	info, err := fs.Stat(f.Root, strings.TrimPrefix(filepath.Clean(dir), "/"))
	if err != nil || !info.IsDir() {
		return doctor.Bad(doctor.Fail, fix, "XDG_RUNTIME_DIR is %s, which is no directory", dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != f.UID {
		return doctor.Bad(doctor.Fail, fix, "XDG_RUNTIME_DIR is %s, which belongs to the user %d", dir, st.Uid)
	}
	return doctor.Good("XDG_RUNTIME_DIR is %s", dir)
}

const hintUnits = "Without it monitors and VMMs have no units of their own, and may end with your session."

func (f Facts) systemd(ctx context.Context) doctor.Finding {
	fix := doctor.Fix{Command: "sudo loginctl enable-linger " + f.User, Hint: hintUnits}
	if f.UID == 0 {
		fix = install("systemd-sysv")
		fix.Hint = "It counts from the next boot on. " + hintUnits
	}
	version, err := f.Units.Version(ctx)
	switch {
	case errors.Is(err, ErrNoUnits):
		return doctor.Bad(doctor.Warn, fix, "%v", err)
	case err != nil:
		return doctor.Bad(doctor.Warn, fix, "systemd does not answer: %v", err)
	}
	return doctor.Good("systemd %s keeps monitors and VMMs in units", version)
}

func (f Facts) linger(ctx context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	if _, err := f.Units.Version(ctx); err != nil {
		return doctor.Skipped("%v", ErrNoUnits)
	}
	lingers, err := f.Units.Lingers(ctx)
	switch {
	case err != nil:
		return doctor.Skipped("%v", err)
	case !lingers:
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "loginctl enable-linger"}, "VMs end when you log out")
	}
	return doctor.Good("VMs go on when you log out")
}

func (f Facts) newuidmap(context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	if err := errors.Join(f.Find("newuidmap"), f.Find("newgidmap")); err != nil {
		return doctor.Bad(doctor.Fail, install("uidmap"), "newuidmap or newgidmap is not installed: an ordinary user can make no image without them")
	}
	return doctor.Good("newuidmap and newgidmap are there")
}

func (f Facts) subordinates(context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	if err := f.Subordinates(); err != nil {
		return doctor.Broken(doctor.Fail, err)
	}
	return doctor.Good("%s has enough subordinate user and group IDs", f.User)
}

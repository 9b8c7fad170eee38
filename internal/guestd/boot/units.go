package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/guestd/usersession"
)

// SessionVerb is how banger-guest is called when a session is open.
const SessionVerb = "session"

// The units tell the agent when systemd has finished starting, and when it
// begins to stop, and open the session of a user, once that is asked for: the
// user's commands join the one that PAM and logind make for a process which
// only waits. That is all systemd has to do with the agent.
const (
	readyUnit = `[Unit]
Description=Tell banger that the system is ready
After=multi-user.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-` + guestPath + ` ready
`
	stoppingUnit = `[Unit]
Description=Tell banger that the system stops
DefaultDependencies=no
Before=shutdown.target

[Service]
Type=oneshot
ExecStart=-` + guestPath + ` stopping
`
	sessionUnit = `[Unit]
Description=The login session of user %i for banger's commands
After=systemd-user-sessions.service systemd-logind.service
StartLimitIntervalSec=60
StartLimitBurst=3

[Service]
Type=simple
User=%i
PAMName=login
Environment=XDG_SESSION_CLASS=user
ExecStart=sleep infinity
ExecStartPost=+` + guestPath + ` ` + SessionVerb + `
Restart=always
RestartSec=1
`
)

// quietMount keeps systemd from unmounting the modules while udev still looks
// at them; its last step does it, when all processes are gone.
const quietMount = `[Unit]
DefaultDependencies=no
`

// installUnits puts the units where systemd finds them, and banger-guest where
// systemd's last step pivots to when all else is over.
func installUnits() error {
	const last = "/run/initramfs"
	err := errors.Join(
		installUnit("banger-ready.service", readyUnit, "multi-user.target"),
		installUnit("banger-stopping.service", stoppingUnit, "shutdown.target"),
		writeUnit(usersession.Unit, sessionUnit),
		writeUnit("lib-modules-.mount.d/banger.conf", quietMount),
		writeUnit("usr-lib-modules-.mount.d/banger.conf", quietMount),
		os.MkdirAll(last, 0o755),
		os.Link(guestPath, filepath.Join(last, "shutdown")),
	)
	if err != nil {
		return fmt.Errorf("installing banger's units: %w", err)
	}
	return nil
}

const unitDir = "/run/systemd/system"

// installUnit writes a unit and makes target start it.
func installUnit(name, content, target string) error {
	if err := writeUnit(name, content); err != nil {
		return err
	}
	wants := filepath.Join(unitDir, target+".wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink(filepath.Join("..", name), filepath.Join(wants, name))
}

func writeUnit(name, content string) error {
	path := filepath.Join(unitDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// readyUnit tells the agent when systemd has finished starting, and when it
// begins to stop. That is all systemd has to do with the agent.
const readyUnit = `[Unit]
Description=Tell banger that the system is ready
After=multi-user.target
RefuseManualStop=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-` + guestPath + ` ready
ExecStop=-` + guestPath + ` stopping
`

// quietMount keeps systemd from unmounting the modules while udev still looks
// at them; its last step does it, when all processes are gone.
const quietMount = `[Unit]
DefaultDependencies=no
`

// installUnits puts the unit where systemd finds it, and banger-guest where
// systemd's last step pivots to when all else is over.
func installUnits() error {
	const (
		dir  = "/run/systemd/system"
		name = "banger-ready.service"
		last = "/run/initramfs"
	)
	wants := filepath.Join(dir, "multi-user.target.wants")
	var errs []error
	for _, unit := range []string{"lib-modules-.mount.d", "usr-lib-modules-.mount.d"} {
		errs = append(errs,
			os.MkdirAll(filepath.Join(dir, unit), 0o755),
			os.WriteFile(filepath.Join(dir, unit, "banger.conf"), []byte(quietMount), 0o644))
	}
	err := errors.Join(append(errs,
		os.MkdirAll(wants, 0o755),
		os.WriteFile(filepath.Join(dir, name), []byte(readyUnit), 0o644),
		os.Symlink(filepath.Join("..", name), filepath.Join(wants, name)),
		os.MkdirAll(last, 0o755),
		os.Link(guestPath, filepath.Join(last, "shutdown")),
	)...)
	if err != nil {
		return fmt.Errorf("installing banger's units: %w", err)
	}
	return nil
}

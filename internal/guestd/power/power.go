// Package power ends a guest in good order: it asks the init in charge for a
// shutdown, and is itself the last program of one, which flushes and unmounts
// every disk, has the agent report it, and turns the machine off.
package power

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// Init is a kind of init.
type Init string

// The kinds of init, by the way one asks them for a shutdown.
const (
	None    Init = ""        // banger-guest itself
	Systemd Init = "systemd" // by signals
	Busybox Init = "busybox" // by others
	Other   Init = "other"   // by the programs poweroff and reboot
)

// InitKind is the kind of the init program at path; "" is no init.
func InitKind(path string) Init {
	if path == "" {
		return None
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	switch filepath.Base(real) {
	case "systemd":
		return Systemd
	case "busybox":
		return Busybox
	}
	return Other
}

// ErrStarting says that the image's init does not run yet.
var ErrStarting = errors.New("the guest's init is still to be started")

// running is the kind of the init that runs; ErrStarting while that is the
// initramfs's /init, which is the agent's own program.
func running() (Init, error) {
	exe, err := os.Readlink("/proc/1/exe")
	if err != nil {
		return Other, fmt.Errorf("finding out which init runs: %w", err)
	}
	if self, err := os.Readlink("/proc/self/exe"); err == nil && self == exe {
		if name, err := os.ReadFile("/proc/1/comm"); err == nil && string(name) == InitName+"\n" {
			return None, nil
		}
		return Other, ErrStarting
	}
	return InitKind(exe), nil
}

// The real-time signals of systemd(1); the C library's SIGRTMIN is 34.
const (
	sigSystemdPoweroff = unix.Signal(34 + 4)
	sigSystemdReboot   = unix.Signal(34 + 5)
)

// signalFor is what asks an init for a shutdown; 0 where no signal does.
func signalFor(init Init, action wire.Halt) unix.Signal {
	reboot := action == wire.HaltReboot
	switch {
	case init == Systemd && reboot:
		return sigSystemdReboot
	case init == Systemd:
		return sigSystemdPoweroff
	case init != Other && reboot:
		return unix.SIGTERM
	case init != Other:
		return unix.SIGUSR2
	}
	return 0
}

// actionFor is what a signal asks PID 1 for: busybox's convention, so that
// its poweroff and reboot work in a guest that has no init but banger-guest.
func actionFor(sig os.Signal) wire.Halt {
	switch sig {
	case unix.SIGTERM, unix.SIGINT:
		return wire.HaltReboot
	}
	return wire.HaltPoweroff
}

// Ask asks the running init for a shutdown and does not wait for it. One that
// has only just been started may not hear it.
func Ask(action wire.Halt) error {
	init, err := running()
	if err != nil {
		return err
	}
	if sig := signalFor(init, action); sig != 0 {
		if err := unix.Kill(1, sig); err != nil {
			return fmt.Errorf("asking the guest's init for a %s: %w", action, err)
		}
		return nil
	}
	cmd := exec.Command(string(action)) // "poweroff" or "reboot"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the guest's program %s failed: %w (%.200q)", action, err, out)
	}
	return nil
}

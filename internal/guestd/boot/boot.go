// Package boot is banger-guest as /init of the initramfs: it makes the guest's
// root from its drives, moves into it, starts the agent, waits until that has
// set this VM's identity, and hands over to the image's own init, or is it.
package boot

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/agent"
	"github.com/banger-vm/banger/internal/guestd/clock"
	"github.com/banger-vm/banger/internal/guestd/notify"
	"github.com/banger-vm/banger/internal/guestd/power"
)

// Where banger-guest lives once the root is mounted.
const (
	runDir    = "/run/banger"
	guestPath = runDir + "/banger-guest"
)

// notifyLimit bounds how long the agent is waited for.
const notifyLimit = 3 * time.Second

// boot is one boot under way.
type boot struct {
	args   args
	self   *os.File // the initramfs's /init
	late   []*os.File
	report agent.Boot
	agent  bool // it runs
}

// Run boots the guest. It never returns: in the end the process is the image's
// init, or the init of a guest without one, or the guest is off.
func Run() {
	defer func() {
		if r := recover(); r != nil {
			fatal(fmt.Errorf("banger-guest broke: %v", r))
		}
	}()
	b := &boot{report: agent.Boot{InitMS: clock.BootMS()}}
	if err := b.run(); err != nil {
		fatal(err)
	}
}

// fatal tells the host why there will be no guest, and ends it.
func fatal(err error) {
	fmt.Fprintf(os.Stderr, "\nBANGER-FATAL: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	unix.Sync()
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintf(os.Stderr, "BANGER-FATAL: the guest cannot be powered off: %v\n", err)
	select {}
}

func (b *boot) run() error {
	if err := mountAll(kernelMounts[:]); err != nil {
		return err
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("reading the kernel's command line: %w", err)
	}
	if b.args, err = parseCmdline(string(line)); err != nil {
		return err
	}
	if b.args.probe {
		fmt.Fprintf(os.Stdout, "\n%s\n", wire.ProbeAnswer)
		return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	// The kernel's 4096 are too few for the agent's commands; these are a login's.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 1 << 20}); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	if b.self, err = os.Open("/init"); err != nil {
		return fmt.Errorf("opening banger-guest: %w", err)
	}
	if err := b.loadModules(); err != nil {
		return err
	}
	if err := b.enterRoot(); err != nil {
		return err
	}
	if err := b.furnish(); err != nil {
		return err
	}
	return b.handOver()
}

// enterRoot makes the root file system and moves into it.
func (b *boot) enterRoot() error {
	b.waitDrives()
	device, err := b.rootDevice()
	if err != nil {
		return err
	}
	if err := unix.Mount(device, "/newroot", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting the root file system (%s): %w", device, err)
	}
	return switchRoot("/newroot")
}

// furnish mounts all that belongs into the root.
func (b *boot) furnish() error {
	if err := mountAll(kernelMounts[:]); err != nil {
		return err
	}
	if err := mountAll(rootMounts[:]); err != nil {
		return err
	}
	b.try(mountAll(cgroupMounts[:]))
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return fmt.Errorf("making banger's directory: %w", err)
	}
	b.try(mountModules())
	b.try(b.mountHome())
	b.try(tidyTmp())
	return nil
}

// try keeps what went wrong where the guest can go on without.
func (b *boot) try(err error) {
	if err != nil {
		b.note("%v", err)
	}
}

func (b *boot) note(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	fmt.Fprintf(os.Stderr, "banger: %s\n", text)
	if !b.agent {
		b.report.Notes = append(b.report.Notes, text)
	} else if err := notify.Send(notify.Note(text), notifyLimit); err != nil {
		fmt.Fprintf(os.Stderr, "banger: %v\n", err)
	}
}

// handOver starts the agent and becomes init. What the agent does not need
// waits until the host can work with it.
func (b *boot) handOver() error {
	init := findInit()
	b.report.Init = power.InitKind(init)
	stop := power.PassOn() // commands run from the moment that the agent does
	if err := b.startAgent(); err != nil {
		return err
	}
	for _, f := range b.late {
		b.try(insert(f))
	}
	if err := unhurried(func() error { return placeSelf(b.self) }); err != nil {
		return fmt.Errorf("placing banger-guest in %s: %w", runDir, err)
	}
	if b.report.Init == power.Systemd {
		b.try(installUnits())
	}
	if init != "" {
		err := syscall.Exec(init, []string{init}, initEnv)
		b.note("the image's init %s does not run: %v", init, err)
	}
	return power.RunInit(stop)
}

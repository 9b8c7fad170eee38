package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guestd/agent"
	"github.com/banger-vm/banger/internal/guestd/power"
)

const (
	guestProgram = "/run/banger/banger-guest"
	path         = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// identityWait bounds how long the guest's init waits for the host.
const identityWait = 60 * time.Second

// handOver starts the agent as /init of the initramfs does, and becomes what
// comes after it: the image's init, if that is busybox's, or banger-guest as
// the init of a guest that has none. systemd finds no machine here.
func (g *guest) handOver(program []byte) error {
	report := agent.Boot{InitMS: bootMS(), User: g.user, Notes: []string{"this guest has no kernel: its VMM is a fake"}}
	home, err := g.mountHome()
	if err != nil {
		report.Notes = append(report.Notes, fmt.Sprintf("the work disk is not mounted: %v", err))
	}
	report.Home = home
	if err := os.Mkdir(filepath.Dir(guestProgram), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(guestProgram, program, 0o755); err != nil {
		return err
	}
	if err := replaceSystemctl(); err != nil {
		return err
	}
	init := ""
	if power.InitKind("/sbin/init") == power.Busybox {
		init, report.Init = "/sbin/init", power.Busybox
	}
	if err := spareSync(); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := startAgent(report); err != nil {
		return err
	}
	if init != "" {
		if err := let(); err != nil {
			return err
		}
		return fmt.Errorf("running %s: %w", init, syscall.Exec(init, []string{init}, []string{"HOME=/", "TERM=linux", path}))
	}
	return fmt.Errorf("running banger-guest: %w", syscall.Exec(guestProgram, []string{power.InitName}, []string{"HOME=/", "TERM=linux", path}))
}

// systemctl ends the guest; of a systemd that is not there tests ask no more.
const systemctl = `#!/bin/sh
case "$1" in
poweroff) kill -USR2 1 ;;
reboot) kill -TERM 1 ;;
*) echo "systemctl: there is no systemd in this guest" >&2; exit 1 ;;
esac
`

// replaceSystemctl puts it in the place of the image's, if that has one.
func replaceSystemctl() error {
	const program, ours = "/usr/bin/systemctl", "/run/banger/systemctl"
	if _, err := os.Stat(program); err != nil {
		return nil //nolint:nilerr // busybox has its own poweroff and reboot
	}
	if err := os.WriteFile(ours, []byte(systemctl), 0o755); err != nil {
		return err
	}
	return bind(ours, program, 0)
}

// startAgent returns when the agent has set the guest's identity.
func startAgent(report agent.Boot) error {
	described, err := json.Marshal(report)
	if err != nil {
		return err
	}
	set, told, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	defer set.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile("/dev/kmsg", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Open(guestProgram)
	if err != nil {
		return err
	}
	defer self.Close()
	if err := let(); err != nil { // for it and its commands; nobody knows of the guest yet
		return err
	}
	// Not a leader of a session: the first terminal that one opens, its port
	// here, would be its own.
	proc, err := os.StartProcess(guestProgram, []string{agent.Name}, &os.ProcAttr{
		Dir: "/", Env: []string{path, "HOME=/root", agent.BootEnv + "=" + string(described)},
		Files: []*os.File{null, log, log, told, self}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	told.Close()
	if err := errors.Join(err, hold()); err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	if err := set.SetReadDeadline(time.Now().Add(identityWait)); err != nil {
		return err
	}
	_, err = set.Read(make([]byte, 1))
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	state, err := proc.Wait()
	if err != nil {
		return fmt.Errorf("the agent let go of its boot: %w", err)
	}
	return fmt.Errorf("the agent ended before the guest had its identity: %s", state)
}

// bootMS is the time since this process began, in milliseconds.
func bootMS() float64 { return float64(time.Since(began)) / float64(time.Millisecond) }

var began = time.Now()

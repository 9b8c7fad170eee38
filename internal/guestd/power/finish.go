package power

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/notify"
)

const (
	killGrace   = 5 * time.Second        // between TERM and KILL
	flushRetry  = 100 * time.Millisecond // after KILL, until the files are let go
	flushLimit  = 10 * time.Second
	reportLimit = 3 * time.Second // for the host to hear of it
)

// Shutdown is the program that systemd pivots to when everything is stopped
// and unmounted but the root, which lies below /oldroot. It does not return.
func Shutdown(verb string) {
	action := wire.HaltPoweroff
	if verb == "reboot" || verb == "kexec" {
		action = wire.HaltReboot
	}
	finish(action)
}

// finish flushes all disks, has the agent report it, and ends the machine. It
// reports nothing that is not so.
func finish(action wire.Halt) {
	err := flushDisks()
	unix.Sync()
	if err != nil {
		fmt.Fprintf(os.Stderr, "banger: a disk could not be made read-only: %v\n", err)
	} else if err := notify.Send(notify.Halted(action), reportLimit); err != nil {
		fmt.Fprintf(os.Stderr, "banger: the host was not told of the %s: %v\n", action, err)
	}
	cmd := unix.LINUX_REBOOT_CMD_POWER_OFF
	if action == wire.HaltReboot {
		cmd = unix.LINUX_REBOOT_CMD_RESTART
	}
	err = unix.Reboot(cmd)
	fmt.Fprintf(os.Stderr, "banger: the kernel refuses the %s: %v\n", action, err)
	select {}
}

// flushDisks makes every disk read-only, killing what is in the way.
func flushDisks() error {
	deadline := time.Now().Add(flushLimit)
	for {
		err := unmountAll()
		done, readErr := Flushed()
		if done {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("disks are still written to: %w", firstOf(err, readErr))
		}
		signalAll(unix.SIGKILL)
		time.Sleep(flushRetry)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// endAll ends all processes but the agent.
func endAll() {
	signalAll(unix.SIGTERM)
	for deadline := time.Now().Add(killGrace); time.Now().Before(deadline); {
		reap()
		if len(others()) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	signalAll(unix.SIGKILL)
}

// signalAll signals all processes but this one and those that ask to be
// spared, as systemd does it: root's whose argv[0] begins with @.
func signalAll(sig unix.Signal) {
	for _, pid := range others() {
		_ = unix.Kill(pid, sig) // it may just have ended
	}
}

// others are the processes that a shutdown ends.
func others() []int {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		argv, err := os.ReadFile("/proc/" + name.Name() + "/cmdline")
		if err != nil || len(argv) == 0 || isSpared(pid, string(argv)) { // kernel threads and zombies have no argv
			continue
		}
		pids = append(pids, pid)
	}
	return pids
}

func isSpared(pid int, argv string) bool {
	st, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return true // gone
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return strings.HasPrefix(argv, "@") && ok && sys.Uid == 0
}

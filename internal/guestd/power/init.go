package power

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guestd/notify"
)

// InitName is PID 1's name once it is the guest's init.
const InitName = "banger-init"

// asks are the signals that ask PID 1 for a shutdown.
var asks = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR}

// RunInit is PID 1 of a guest whose image has no init: it reaps, and ends the
// guest when asked to. It returns only an error. It is no program of its own,
// since Go's ends at a signal that comes before it is taken; stop ends the
// taking until now.
func RunInit(stop func()) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append(asks, unix.SIGCHLD)...)
	if err := os.WriteFile("/proc/self/comm", []byte(InitName), 0); err != nil {
		return fmt.Errorf("taking the name of an init: %w", err)
	}
	stop()
	reap() // what ended before
	if err := errors.Join(linkDevices(), upLoopback()); err != nil {
		fmt.Fprintf(os.Stderr, "banger: %v\n", err)
	}
	// Without an init there is nothing more to wait for.
	if err := notify.Send(notify.Ready, reportLimit); err != nil {
		fmt.Fprintf(os.Stderr, "banger: %v\n", err)
	}
	for sig := range signals {
		if sig == unix.SIGCHLD {
			reap()
			continue
		}
		if err := notify.Send(notify.Stopping, reportLimit); err != nil {
			fmt.Fprintf(os.Stderr, "banger: %v\n", err)
		}
		endAll()
		finish(actionFor(sig))
	}
	return errors.New("banger-guest stopped being init")
}

// PassOn keeps the signals that ask an init for a shutdown from ending a PID 1
// that is not that init yet, and has the agent ask the one to come. The next
// program that this process becomes starts without it; stop ends it before.
func PassOn() (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, asks...)
	go func() {
		for sig := range signals {
			if err := notify.Send(notify.Asked(actionFor(sig)), reportLimit); err != nil {
				fmt.Fprintf(os.Stderr, "banger: %v\n", err)
			}
		}
	}()
	return func() { signal.Stop(signals) }
}

// reap collects all ended children.
func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// linkDevices makes the links in /dev that an init would.
func linkDevices() error {
	var errs []error
	for name, target := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2",
	} {
		if err := os.Symlink(target, name); err != nil && !errors.Is(err, os.ErrExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// upLoopback starts the loopback interface.
func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("starting the loopback interface: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("starting the loopback interface: %w", err)
	}
	return nil
}

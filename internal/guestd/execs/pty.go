package execs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal. The slave side is opened through the
// master, so that no /dev/pts is needed.
func openTerminal(rows, cols uint16, owner int) (master *os.File, slave uintptr, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("opening a terminal: %w", err)
	}
	// Non-blocking already, so NewFile puts it into the poller: Close ends reads.
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	opened := false
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		slave, err = peer(fd)
		opened = err == nil
	}
	if err == nil {
		err = setSize(master, rows, cols)
	}
	if err == nil {
		err = eraseWhole(fd)
	}
	if err == nil && owner != os.Geteuid() {
		err = unix.Fchown(int(slave), owner, -1)
	}
	if err != nil {
		_ = master.Close() // the first error is the one to tell
		if opened {
			_ = unix.Close(int(slave))
		}
		return nil, 0, fmt.Errorf("setting a terminal up: %w", err)
	}
	return master, slave, nil
}

func peer(master int) (uintptr, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return 0, errno
	}
	return fd, nil
}

// eraseWhole has the terminal's own line editing erase characters, not bytes.
func eraseWhole(master int) error {
	t, err := unix.IoctlGetTermios(master, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag |= unix.IUTF8
	return unix.IoctlSetTermios(master, unix.TCSETS, t)
}

func setSize(tty *os.File, rows, cols uint16) error {
	if rows == 0 || cols == 0 {
		rows, cols = 24, 80
	}
	raw, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	size := &unix.Winsize{Row: rows, Col: cols}
	ctlErr := raw.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	if ctlErr != nil {
		return ctlErr
	}
	return err
}

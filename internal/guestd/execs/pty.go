package execs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal. The slave side is opened through the
// master, so that no /dev/pts is needed.
func openTerminal(rows, cols uint16, owner int) (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	// Non-blocking already, so NewFile puts it into the poller: Close ends reads.
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		slave, err = peer(fd)
	}
	if err == nil {
		err = setSize(master, rows, cols)
	}
	if err == nil && owner != os.Geteuid() {
		err = slave.Chown(owner, -1)
	}
	if err != nil {
		_ = master.Close() // the first error is the one to tell
		if slave != nil {
			_ = slave.Close()
		}
		return nil, nil, fmt.Errorf("setting a terminal up: %w", err)
	}
	return master, slave, nil
}

func peer(master int) (*os.File, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, errno
	}
	return os.NewFile(fd, "pts"), nil
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

package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openTTY makes a pseudo-terminal. Its slave, which is held too so that the
// guest can come and go, is at path.
func openTTY(raw bool) (master, slave *os.File, path string, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err != nil {
		return nil, nil, "", fmt.Errorf("making a terminal: %w", err)
	}
	raws, err := master.SyscallConn()
	if err != nil {
		return nil, nil, "", err
	}
	var number int
	cerr := raws.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		if err == nil && raw {
			err = setRaw(int(fd))
		}
	})
	if cerr != nil || err != nil {
		return nil, nil, "", fmt.Errorf("making a terminal: %w", err)
	}
	path = "/dev/pts/" + strconv.Itoa(number)
	if slave, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, "", fmt.Errorf("opening a terminal: %w", err)
	}
	return master, slave, path, nil
}

// setRaw lets all bytes through, as a wire does.
func setRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

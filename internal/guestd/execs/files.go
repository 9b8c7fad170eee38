package execs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// files makes the command's stdin, stdout and stderr, as bare descriptors that
// the poller never learns of, and the process with our ends of them.
func (p *plan) files() (theirs []uintptr, proc *process, err error) {
	uid := int(p.user.UID)
	if p.spec.TTY {
		master, slave, err := openTerminal(p.spec.Rows, p.spec.Cols, uid)
		if err != nil {
			return nil, nil, err
		}
		proc := &process{tty: master, stdin: master, stdout: &output{file: master}}
		return []uintptr{slave, slave, slave}, proc, nil
	}
	var ours []*os.File
	for i := range 3 {
		our, their, err := pipe(i == 0, uid)
		if err != nil {
			closeAll(ours)
			closeFDs(theirs)
			return nil, nil, fmt.Errorf("making a pipe for the command: %w", err)
		}
		ours, theirs = append(ours, our), append(theirs, uintptr(their))
	}
	return theirs, &process{stdin: ours[0], stdout: &output{file: ours[1]}, stderr: &output{file: ours[2]}}, nil
}

// pipe makes a pipe that the command reads from, or else writes to.
func pipe(reads bool, uid int) (our *os.File, their int, err error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, 0, err
	}
	ourFD, their := fds[0], fds[1]
	if reads {
		ourFD, their = their, ourFD
	}
	err = nonblocking(ourFD, !reads)
	if err == nil && uid != os.Geteuid() { // so that it can open /dev/stdout and the like
		err = syscall.Fchown(their, uid, -1)
	}
	if err != nil {
		return nil, 0, errors.Join(err, syscall.Close(ourFD), syscall.Close(their))
	}
	return os.NewFile(uintptr(ourFD), "pipe"), their, nil
}

// nonblocking makes an end of a new pipe so, whose only flags are known.
func nonblocking(fd int, reading bool) error {
	flags := syscall.O_NONBLOCK
	if !reading {
		flags |= syscall.O_WRONLY
	}
	_, err := unix.FcntlInt(uintptr(fd), syscall.F_SETFL, flags)
	return err
}

// abort gives up what was made for a command that did not start.
func (p *process) abort() {
	files := []*os.File{p.stdin, p.stdout.file}
	if p.stderr != nil {
		files = append(files, p.stderr.file)
	}
	closeAll(files)
	if p.cgroup != nil {
		_ = p.cgroup.Remove() // it is empty
	}
}

// closeFDs closes descriptors; a terminal's is there three times.
func closeFDs(fds []uintptr) {
	for i, fd := range fds {
		if i == 0 || fd != fds[i-1] {
			_ = syscall.Close(int(fd)) // nothing was written
		}
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
}

package hostexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a running process, child or not, held by a pidfd: it never means
// another process that got the same pid.
type Process struct {
	id    ID
	child bool
	file  *os.File // the pidfd

	done chan struct{}
	exit Exit // set before done is closed

	letGo sync.Once
	gone  chan struct{} // Close was called
}

// Exit is how a process ended.
type Exit struct {
	Known  bool           // false for a process that was not our child
	Code   int            // -1 when a signal ended it
	Signal syscall.Signal // 0 unless a signal ended it
}

func (e Exit) String() string {
	switch {
	case !e.Known:
		return "its exit status is not known"
	case e.Signal != 0:
		return "ended by signal " + e.Signal.String()
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}

// Open holds the process id, child or not. os.ErrProcessDone says that it has
// ended, also when its pid belongs to another process by now.
func Open(id ID) (*Process, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("process %d: %w", id.PID, os.ErrProcessDone)
	}
	if err != nil {
		return nil, fmt.Errorf("process %d cannot be watched: %w", id.PID, err)
	}
	// Only now: the pidfd pins whoever has the pid, so this cannot change any more.
	now, err := Identify(id.PID)
	if err == nil && now != id {
		err = fmt.Errorf("process %d: %w", id.PID, os.ErrProcessDone)
	}
	if err != nil {
		_ = unix.Close(fd) // err is what the caller must know
		return nil, err
	}
	return watch(id, fd, false)
}

// Hold holds the process id by a pidfd that came from another process's Pass,
// ended or not.
func Hold(id ID, pidfd *os.File) (*Process, error) {
	fd, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("process %d cannot be watched: %w", id.PID, err)
	}
	return watch(id, fd, false)
}

// watch owns fd, which must be non-blocking: the runtime's poller then waits
// for it without a thread.
func watch(id ID, fd int, child bool) (*Process, error) {
	p := &Process{
		id: id, child: child, file: os.NewFile(uintptr(fd), "pidfd"),
		done: make(chan struct{}), gone: make(chan struct{}),
	}
	conn, err := p.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	go p.await(conn)
	return p, nil
}

// await ends when the process does, or when Close closes the pidfd.
func (p *Process) await(conn syscall.RawConn) {
	err := conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	if err != nil {
		return // closed
	}
	if p.child {
		var ws unix.WaitStatus
		if pid, err := unix.Wait4(p.id.PID, &ws, 0, nil); err == nil && pid == p.id.PID {
			p.exit = Exit{Known: true, Code: ws.ExitStatus()}
			if ws.Signaled() {
				p.exit.Signal = syscall.Signal(ws.Signal())
			}
		}
	}
	close(p.done)
}

// ID is the process's lasting identity.
func (p *Process) ID() ID { return p.id }

// Pass is the pidfd, to be handed to another process while this one is held.
func (p *Process) Pass() *os.File { return p.file }

// Done is closed when the process has ended; never after Close.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		alive = err == nil && n == 0
	})
	return err == nil && alive
}

// Wait returns when the process has ended, or ctx has, or with os.ErrClosed
// after Close.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	default:
	}
	select {
	case <-p.done:
		return p.exit, nil
	case <-p.gone:
		return Exit{}, fmt.Errorf("waiting for process %d: %w", p.id.PID, os.ErrClosed)
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

// Signal sends sig; os.ErrProcessDone if the process has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := conn.Control(func(fd uintptr) {
		sent = unix.PidfdSendSignal(int(fd), sig, nil, 0)
	}); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", p.id.PID, os.ErrProcessDone)
	}
	return sent
}

// Kill ends the process; one that has ended is no error.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process %d cannot be killed: %w", p.id.PID, err)
	}
	return nil
}

// Close lets go of the process, which lives on. A child is still reaped when
// it ends.
func (p *Process) Close() error {
	var err error
	p.letGo.Do(func() {
		close(p.gone)
		if !p.child {
			err = p.file.Close()
		}
	})
	return err
}

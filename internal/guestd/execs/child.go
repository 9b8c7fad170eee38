package execs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/calm"
	"github.com/banger-vm/banger/internal/guestd/usersession"
)

// forker starts commands with what an ordinary process has, where the agent
// has something else that they would inherit.
type forker struct {
	mu    sync.Mutex // guards the agent's own score while a command is started
	score *os.File   // /proc/self/oom_score_adj; nil where the agent's is no other
	own   []byte
}

func newForker() *forker {
	fd, err := syscall.Open("/proc/self/oom_score_adj", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &forker{}
	}
	f := os.NewFile(uintptr(fd), "oom_score_adj")
	own := make([]byte, 16)
	n, err := f.ReadAt(own, 0)
	if n == 0 || string(own[:n]) == "0\n" {
		_, _ = err, f.Close() // there is nothing to set
		return &forker{}
	}
	return &forker{score: f, own: own[:n]}
}

// child is a process of ours.
type child struct {
	pid   int
	pidfd *os.File // nil on a kernel without
}

// start starts a program, with limits if it is to have others than the agent's
// commands have. The descriptors remain the caller's.
func (f *forker) start(path string, argv []string, attr *syscall.ProcAttr, limits usersession.Limits) (*child, error) {
	pidfd := -1
	attr.Sys.PidFD = &pidfd
	if len(limits) > 0 {
		runtime.LockOSThread() // it is this thread that the child obeys
		defer runtime.UnlockOSThread()
		attr.Sys.Ptrace = true
	}
	thread := unix.Gettid()
	// Timers as ordinary ones: those of the agent's threads may be late.
	if err := calm.Set(calm.Usual); err != nil {
		return nil, err
	}
	pid, err := f.fork(path, argv, attr)
	if attr.Sys.Ptrace && errors.Is(err, syscall.EPERM) { // nobody may be traced here: its first moments are without
		attr.Sys.Ptrace = false
		pid, err = f.fork(path, argv, attr)
	}
	if err != nil {
		return nil, err
	}
	if err := limit(pid, limits, attr.Sys.Ptrace); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return nil, err
	}
	c := &child{pid: pid}
	if unix.Gettid() != thread { // rare, and dearer than the fork if it were prevented
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid), fmt.Append(nil, int64(calm.Usual)), 0) // it may have ended
	}
	if pidfd >= 0 && syscall.SetNonblock(pidfd, true) == nil {
		c.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return c, nil
}

// limit sets the limits of a child. One that is traced stands before its first
// instruction until then.
func limit(pid int, limits usersession.Limits, traced bool) error {
	if traced {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		for errors.Is(err, syscall.EINTR) {
			_, err = syscall.Wait4(pid, &status, 0, nil)
		}
		if err != nil || !status.Stopped() {
			return errors.Join(errors.New("the command ended before it had its limits"), err)
		}
	}
	for resource, l := range limits {
		if err := unix.Prlimit(pid, resource, &l, nil); err != nil {
			return fmt.Errorf("setting the command's limits: %w", err)
		}
	}
	if !traced {
		return nil
	}
	if err := syscall.PtraceDetach(pid); err != nil {
		return fmt.Errorf("letting the command go: %w", err)
	}
	return nil
}

// fork starts the program. The agent is never killed for memory; its commands
// are no better than others.
func (f *forker) fork(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	if f.score != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, err := f.score.WriteAt([]byte("0"), 0); err != nil {
			return 0, fmt.Errorf("setting the command's score for the end of memory: %w", err)
		}
		defer func() { _, _ = f.score.WriteAt(f.own, 0) }() // it was so before
	}
	pid, _, err := syscall.StartProcess(path, argv, attr)
	return pid, err
}

// wait waits for the child's end. It occupies no thread where the kernel has
// descriptors of processes: threads that wait in the kernel and hand over to
// others cost an emulated CPU more than all else about a short command.
func (c *child) wait() (status syscall.WaitStatus, err error) {
	if c.pidfd == nil {
		return c.reap(0)
	}
	defer c.pidfd.Close()
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return status, err
	}
	var reapErr error
	err = raw.Read(func(uintptr) bool {
		status, reapErr = c.reap(syscall.WNOHANG)
		return !errors.Is(reapErr, syscall.EAGAIN)
	})
	if err != nil { // the poller takes none: wait in the kernel
		return c.reap(0)
	}
	return status, reapErr
}

// reap takes the child's status; EAGAIN while it runs.
func (c *child) reap(options int) (status syscall.WaitStatus, err error) {
	for {
		pid, err := syscall.Wait4(c.pid, &status, options, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil && pid == 0:
			return status, syscall.EAGAIN
		}
		return status, err
	}
}

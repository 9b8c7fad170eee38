package hostexec

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/calm"
)

// Daemon is a process to spawn that outlives us: it has its own session and
// ends with nothing of ours.
type Daemon struct {
	Name  string
	Args  []string // without the program's own name
	Title string   // argv[0]; "" is Name
	Dir   string
	Env   []string // nil is ours; else exactly these
	// Stdin, Stdout and Stderr are /dev/null when nil. Only files: a pipe of
	// ours would break when we die.
	Stdin, Stdout, Stderr *os.File
	// ExtraFiles become descriptors 3, 4, …; every other one is closed.
	ExtraFiles []*os.File
	// Slack is how late its timers may be; 0 is as usual.
	Slack calm.Slack
	// Namespaces is nil for those that we are in ourselves.
	Namespaces *Namespaces
}

// Namespaces are new ones for a process, of which the user namespace is always
// one: so they need no privilege. In it the process has ID as its user and
// group, which outside are ours, and sees no other.
type Namespaces struct {
	Mount, PID, IPC, UTS, Network bool
	ID                            int
	// Capabilities are those that the process begins with, in its own
	// namespaces alone.
	Capabilities []uintptr
}

// on adds n to what a process begins with.
func (n *Namespaces) on(attr *syscall.SysProcAttr) {
	if n == nil {
		return
	}
	attr.Cloneflags = syscall.CLONE_NEWUSER
	for _, one := range []struct {
		wanted bool
		flag   uintptr
	}{
		{n.Mount, syscall.CLONE_NEWNS},
		{n.PID, syscall.CLONE_NEWPID},
		{n.IPC, syscall.CLONE_NEWIPC},
		{n.UTS, syscall.CLONE_NEWUTS},
		{n.Network, syscall.CLONE_NEWNET},
	} {
		if one.wanted {
			attr.Cloneflags |= one.flag
		}
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: n.ID, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: n.ID, HostID: os.Getegid(), Size: 1}}
	attr.AmbientCaps = n.Capabilities
}

// Command is the command line, for golden files.
func (d Daemon) Command() Cmd {
	return Cmd{Name: d.Name, Args: d.Args, Dir: d.Dir, Env: d.Env}
}

// Spawn starts d. The runtime forks with CLONE_VM and CLONE_VFORK, so the cost
// does not grow with our memory. The process gets no descriptor but those
// named, and is reaped when it ends, whether or not someone waits.
func Spawn(d Daemon) (*Process, error) {
	path, err := LookPath(d.Name)
	if err != nil {
		return nil, err
	}
	if err := closeOnExec(); err != nil {
		return nil, err
	}
	pidfd := -1
	cmd := exec.Command(path, d.Args...)
	cmd.Args[0] = d.Name
	if d.Title != "" {
		cmd.Args[0] = d.Title
	}
	cmd.Dir, cmd.Env, cmd.ExtraFiles = d.Dir, d.Env, d.ExtraFiles
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	d.Namespaces.on(cmd.SysProcAttr)
	// A nil *os.File in the interface would not be nil.
	if d.Stdin != nil {
		cmd.Stdin = d.Stdin
	}
	if d.Stdout != nil {
		cmd.Stdout = d.Stdout
	}
	if d.Stderr != nil {
		cmd.Stderr = d.Stderr
	}
	if err := calm.Start(cmp.Or(d.Slack, calm.Usual), cmd.Start); err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", d.Name, err)
	}
	p, err := adopt(cmd.Process.Pid, pidfd)
	if err != nil {
		_ = cmd.Process.Kill() // err is what the caller must know
		_ = cmd.Wait()
		return nil, fmt.Errorf("%s was started but cannot be watched: %w", d.Name, err)
	}
	_ = cmd.Process.Release() // the pidfd is ours now; a failed release leaks nothing that counts
	return p, nil
}

// closeOnExec marks what we inherited ourselves: all that Go opens is marked
// already, but a shell's pipe held for ever would hang its reader.
func closeOnExec() error {
	err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return nil // Linux before 5.11
	}
	if err != nil {
		return fmt.Errorf("inherited descriptors cannot be kept from a new process: %w", err)
	}
	return nil
}

// adopt makes the Process of a child.
func adopt(pid, pidfd int) (*Process, error) {
	var err error
	if pidfd < 0 { // a kernel without CLONE_PIDFD; an unreaped child's pid is safe
		pidfd, err = unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	} else {
		err = unix.SetNonblock(pidfd, true)
	}
	if err != nil {
		if pidfd >= 0 {
			_ = unix.Close(pidfd) // err is what the caller must know
		}
		return nil, err
	}
	id, err := Identify(pid)
	if err != nil {
		_ = unix.Close(pidfd)
		return nil, err
	}
	return watch(id, pidfd, true)
}

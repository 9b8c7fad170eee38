package execs

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guestd/cgroup"
)

// hangUpGrace is how long a command may take to end at SIGHUP.
const hangUpGrace = 2 * time.Second

// process is a command that runs, with our ends of its pipes or terminal.
type process struct {
	child          *child
	cgroup         *cgroup.Group // nil: there are none
	groups         *cgroup.Pool  // which it is given back to
	tty            *os.File      // the terminal's master side, or nil
	stdin          *os.File      // tty, or a pipe
	stdout, stderr *output       // stderr is nil on a terminal

	mu   sync.Mutex
	gone bool // the process was waited for
}

// wait waits for the command's own process.
func (p *process) wait() api.ExecExit {
	status, err := p.child.wait()
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	if err != nil {
		return api.ExecExit{Code: 125, Error: "waiting for the command failed: " + err.Error()}
	}
	if status.Signaled() {
		return api.ExecExit{Code: 128 + int(status.Signal()), Signal: int(status.Signal())}
	}
	return api.ExecExit{Code: status.ExitStatus()}
}

// signal sends a signal to the command's process group; those of a keyboard go
// to the terminal's foreground group instead.
func (p *process) signal(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	group := p.child.pid
	if p.tty != nil && fromKeyboard(syscall.Signal(n)) {
		if fg, err := p.foreground(); err == nil && fg > 0 {
			group = fg
		}
	}
	_ = syscall.Kill(-group, syscall.Signal(n)) // ESRCH: it ends at this moment
}

func fromKeyboard(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGWINCH:
		return true
	}
	return false
}

func (p *process) foreground() (group int, err error) {
	raw, err := p.tty.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	if ctlErr != nil {
		return 0, ctlErr
	}
	return group, err
}

func (p *process) resize(rows, cols uint16) {
	if p.tty == nil {
		return
	}
	_ = setSize(p.tty, rows, cols) // fails only on a terminal that is closed already
}

// endInput ends the command's stdin; eof says that its client ended it.
func (p *process) endInput(eof bool) {
	if p.tty == nil {
		_ = p.stdin.Close() // at worst closed before
		return
	}
	if eof {
		_, _ = p.tty.Write([]byte{4}) // ^D; the terminal may be gone
	}
}

// killAll ends all that the command has started and that can be found.
func (p *process) killAll() {
	if p.cgroup != nil && p.cgroup.Kill() {
		return
	}
	_ = syscall.Kill(-p.child.pid, syscall.SIGKILL) // ESRCH: nothing is left
}

// hangUp asks the command to end, and makes it.
func (p *process) hangUp() {
	p.signal(int(syscall.SIGHUP))
	p.signal(int(syscall.SIGCONT))
	time.AfterFunc(hangUpGrace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.gone {
			p.killAll()
			_ = syscall.Kill(-p.child.pid, syscall.SIGKILL) // a login may have left the cgroup
		}
	})
}

func (p *process) endOutputs(grace time.Duration) {
	p.stdout.end(grace)
	p.stderr.end(grace)
}

// release frees what the command used.
func (p *process) release(log *slog.Logger) {
	for _, f := range []io.Closer{p.stdin, p.stdout.file} {
		_ = f.Close() // closed before, mostly
	}
	if p.cgroup == nil {
		return
	}
	if err := p.groups.Put(p.cgroup); err != nil {
		log.Debug("a command's cgroup stays: what it started still runs", "err", err)
	}
}

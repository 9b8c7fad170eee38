package hostexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/banger-vm/banger/internal/calm"
)

const (
	defaultOutput = 1 << 20
	maxStderr     = 64 << 10
	// drain is how long a command that has ended may leave its output open
	// in processes of its own.
	drain = 2 * time.Second
)

// Host runs commands on this host.
type Host struct{}

var _ Runner = Host{}

// LookPath finds a program in PATH, or in the sbin directories, which an
// ordinary user's PATH lacks.
func LookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if !strings.Contains(name, "/") {
		for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s %w", name, ErrNotInstalled)
}

// Run runs cmd in a process group of its own, which ends with ctx. The child
// also gets a signal when we die, so that no half-done work goes on unowned.
func (Host) Run(ctx context.Context, c Cmd) (Result, error) {
	path, err := LookPath(c.Name)
	if err != nil {
		return Result{ExitCode: -1}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Result{ExitCode: -1}, fmt.Errorf("%s was not started: %w", c.Name, err)
	}
	out := &head{max: c.MaxOutput}
	if out.max <= 0 {
		out.max = defaultOutput
	}
	errs := &tail{max: maxStderr, next: c.Stderr}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Args[0] = c.Name
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Env, c.Stdin, c.Stdout, errs
	if c.Stdout == nil {
		cmd.Stdout = out
	}
	err = runGroup(cmd, c.Grace)
	res := Result{Stdout: out.buf, Truncated: out.more, Stderr: errs.buf, ExitCode: -1}
	if cmd.ProcessState != nil {
		res.ExitCode = cmd.ProcessState.ExitCode()
	}
	return res, explain(ctx, c.Name, err, errs.lastLine())
}

// runGroup runs cmd and ends its whole group with it.
func runGroup(cmd *exec.Cmd, grace time.Duration) error {
	// The parent-death signal belongs to the thread that forks, so the
	// thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	first := syscall.SIGKILL
	if grace > 0 {
		first = syscall.SIGTERM
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: first}
	cmd.WaitDelay = grace + drain
	signal := func(sig syscall.Signal) error {
		err := syscall.Kill(-cmd.Process.Pid, sig)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	killed := make(chan *time.Timer, 1)
	cmd.Cancel = func() error {
		if grace > 0 {
			killed <- time.AfterFunc(grace, func() { _ = signal(syscall.SIGKILL) }) // gone by then is the best case
		}
		return signal(first)
	}
	if err := calm.Start(calm.Usual, cmd.Start); err != nil {
		return err
	}
	err := cmd.Wait()
	select {
	case t := <-killed:
		t.Stop()
	default:
	}
	if err != nil { // a cancelled or broken command leaves nobody behind
		_ = signal(syscall.SIGKILL) // ESRCH: nobody was left
	}
	return err
}

// explain turns what os/exec says into our sentences.
func explain(ctx context.Context, name string, err error, last string) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s was stopped: %w", name, cause)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%s ended, but a process that it started kept its output open", name)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s could not be run: %w", name, err)
	}
	e := &ExitError{Name: name, Code: exit.ExitCode(), Last: last}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
	}
	return e
}

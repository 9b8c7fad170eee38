package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/banger-vm/banger/test/host/call"
)

// grace is the time between SIGTERM and SIGKILL, and how long a command's
// children may hold its output open when it has ended.
const grace = 5 * time.Second

// timedOut is the exit code of timeout(1).
const timedOut = 124

// execute runs a command to its end, its deadline, or until the caller leaves.
func execute(ctx context.Context, spec call.Run, stdin io.Reader, out *call.Writer) call.Exit {
	ctx, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	argv := commandLine(spec)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = rootEnv(spec)
	cmd.WaitDelay = grace
	// runuser leaves its command in the same process group.
	cmd.Cancel = func() error {
		time.AfterFunc(grace, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // gone is fine
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	cmd.Dir = "/root"
	if spec.User == "" && spec.Dir != "" {
		cmd.Dir = spec.Dir
	}
	var err error
	if spec.TTY != nil {
		err = onTerminal(cmd, spec, stdin, out)
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stdout, cmd.Stderr = out.Stream(call.Stdout), out.Stream(call.Stderr)
		err = onPipes(cmd, stdin)
	}
	return verdict(ctx, spec, cmd, err)
}

// commandLine is what is started: another user's command in a login session,
// which PAM registers with logind.
func commandLine(spec call.Run) []string {
	if spec.User == "" {
		if len(spec.Argv) == 0 {
			return []string{"/bin/bash", "-l"}
		}
		return spec.Argv
	}
	if len(spec.Argv) == 0 {
		return []string{"runuser", "-l", "--", spec.User}
	}
	argv := []string{"runuser", "-l", `--session-command=exec "$0" "$@"`, "--", spec.User, "env"}
	if spec.Dir != "" {
		argv = append(argv, "-C", spec.Dir)
	}
	return append(append(argv, spec.Env...), spec.Argv...)
}

func rootEnv(spec call.Run) []string {
	env := []string{
		"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=xterm",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	if spec.User != "" {
		return env
	}
	return append(env, spec.Env...)
}

// onPipes runs cmd. Its standard input must not hold its end up: the caller
// may have more to send, or nothing and not close.
func onPipes(cmd *exec.Cmd, stdin io.Reader) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(in, stdin)
		if err = errors.Join(err, in.Close()); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
			fmt.Fprintln(os.Stderr, "passing on standard input:", err)
		}
	}()
	return cmd.Wait()
}

// onTerminal runs cmd on a terminal of its own.
func onTerminal(cmd *exec.Cmd, spec call.Run, stdin io.Reader, out *call.Writer) error {
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: spec.TTY.Rows, Cols: spec.TTY.Cols})
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(terminal, stdin) }() // ends with either
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(out.Stream(call.Stdout), terminal) // EIO at its end
	}()
	err = cmd.Wait()
	select {
	case <-copied:
	case <-time.After(time.Second): // a background job has it too
	}
	return errors.Join(err, terminal.Close())
}

// verdict says how a command ended.
func verdict(ctx context.Context, spec call.Run, cmd *exec.Cmd, err error) call.Exit {
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return call.Exit{Code: timedOut, Error: fmt.Sprintf("it was ended after %v", spec.Timeout)}
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the latter: its children hold its output
		return call.Exit{}
	case errors.As(err, &exit):
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return call.Exit{Code: 128 + int(ws.Signal()), Error: ws.Signal().String()}
		}
		return call.Exit{Code: exit.ExitCode()}
	}
	return call.Exit{Code: 127, Error: err.Error()}
}

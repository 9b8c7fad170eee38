package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/show"
)

const (
	// A command that ignores its signals is given up with the third.
	enough = 3
	// killAfter is how long a command has to end after its time is up.
	killAfter = 5 * time.Second
)

// session is one command in a guest, with this process's terminal, streams
// and signals.
type session struct {
	*app
	c   *client.Client
	f   execFlags
	tty bool

	signals chan os.Signal
	exec    *client.Exec
}

func (s *session) run(ctx context.Context, vm string, spec api.ExecSpec) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signal.Ignore(syscall.SIGPIPE) // the guest's command is told of a closed pipe, not this one
	defer signal.Reset(syscall.SIGPIPE)
	s.signals = make(chan os.Signal, 16)
	signal.Notify(s.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	defer signal.Stop(s.signals)
	if s.tty {
		s.prepare(&spec)
	}
	if err := s.start(ctx, cancel, vm, spec); err != nil {
		return 0, err
	}
	if spec.Detached {
		return exitOK, s.exec.Close()
	}
	if s.tty {
		restore, err := s.raw()
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	return s.wait()
}

// prepare completes the description of a command that gets a terminal.
func (s *session) prepare(spec *api.ExecSpec) {
	if cols, rows, err := term.GetSize(int(s.out.Fd())); err == nil {
		spec.Rows, spec.Cols = uint16(rows), uint16(cols)
	}
	if t := os.Getenv("TERM"); t != "" {
		spec.Env = append([]string{"TERM=" + t}, spec.Env...)
	}
}

// start starts the command; until it runs, a signal is for banger.
func (s *session) start(ctx context.Context, cancel func(), vm string, spec api.ExecSpec) error {
	started := make(chan error, 1)
	cfg := client.ExecConfig{Stdin: s.stdin(), Stdout: s.out, Stderr: s.err}
	go func() {
		var err error
		s.exec, err = s.c.Exec(ctx, vm, spec, cfg)
		started <- err
	}()
	for {
		select {
		case err := <-started:
			return err
		case sig := <-s.signals:
			if sig != syscall.SIGWINCH {
				cancel()
				<-started
				return errInterrupted
			}
		}
	}
}

// stdin is what the command reads: nothing where nobody asked for the
// terminal's input. nil spares a round trip.
func (s *session) stdin() io.Reader {
	info, err := s.in.Stat()
	if s.f.detach || err != nil {
		return nil
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return nil
	}
	if term.IsTerminal(int(s.in.Fd())) && !s.f.interactive {
		return nil
	}
	return s.in
}

func (s *session) raw() (restore func(), err error) {
	old, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	return func() {
		if err := term.Restore(int(s.in.Fd()), old); err != nil {
			s.say("banger: the terminal could not be restored: %v; try: reset", err)
		}
	}, nil
}

// ended is how the command ended.
type ended struct {
	exit api.ExecExit
	err  error
}

// wait passes signals on until the command has ended.
func (s *session) wait() (int, error) {
	done := make(chan ended, 1)
	go func() {
		exit, err := s.exec.Wait()
		done <- ended{exit, err}
	}()
	limit, asked, timedOut := s.f.limit(), 0, false
	for {
		select {
		case e := <-done:
			if timedOut {
				s.say("\rbanger: the command was ended after %v", time.Duration(s.f.timeout))
				return exitTimeout, nil
			}
			return s.code(e)
		case sig := <-s.signals:
			if sig == syscall.SIGWINCH {
				s.resize()
				continue
			}
			if asked++; asked == enough {
				return exitInterrupted, s.exec.Close()
			}
			s.forward(sig.(syscall.Signal))
		case <-limit:
			if timedOut {
				s.forward(syscall.SIGKILL)
				limit = nil
				continue
			}
			timedOut, limit = true, time.After(killAfter)
			s.forward(syscall.SIGTERM)
		}
	}
}

func (s *session) forward(sig syscall.Signal) {
	if err := s.exec.Signal(int(sig)); err != nil {
		s.tell(fmt.Errorf("the signal was not passed on: %w", err), "")
	}
}

func (s *session) resize() {
	if !s.tty {
		return
	}
	cols, rows, err := term.GetSize(int(s.out.Fd()))
	if err == nil {
		err = s.exec.Resize(uint16(rows), uint16(cols))
	}
	if err != nil {
		s.say("\rbanger: the terminal's new size was not passed on: %v\r", err)
	}
}

func (s *session) code(e ended) (int, error) {
	if e.err != nil && !errors.Is(e.err, syscall.EPIPE) {
		return 0, e.err
	}
	if e.exit.Error != "" {
		s.say("\rbanger: %s", show.Safe(e.exit.Error))
	}
	return e.exit.Code, nil
}

// Package session runs one command in a guest with this process's terminal,
// streams and signals.
package session

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
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

const (
	// A command that ignores its signals is given up with the third in a row.
	enough = 3
	inARow = 2 * time.Second
	// killAfter is how long a command has to end after its time is up.
	killAfter = 5 * time.Second
	// startGrace is how long a start that a signal came into may still take,
	// and a detached command to turn out not to be there: its exit comes right
	// behind the start.
	startGrace = 200 * time.Millisecond
)

// Options say how the command is attended.
type Options struct {
	Interactive bool          // forward a terminal's input
	Timeout     time.Duration // 0: none
}

// Session is a command in a guest, attended by this process.
type Session struct {
	*app.App
	c    *client.Client
	opts Options
	spec api.ExecSpec

	signals chan os.Signal
	ctx     context.Context
	cancel  context.CancelFunc
	begun   bool
	started chan error // gets why exec is not set, or nil
	exec    *client.Exec
	ready   chan struct{} // closed when its output may be shown
}

// gate holds output back until the terminal is ready for it.
type gate struct {
	io.Writer
	open, never <-chan struct{}
}

func (g gate) Write(b []byte) (int, error) {
	select {
	case <-g.open:
		return g.Writer.Write(b)
	case <-g.never:
		return 0, context.Canceled
	}
}

// New makes a session of a command, which is not begun yet.
func New(ctx context.Context, a *app.App, spec api.ExecSpec, opts Options) (*Session, error) {
	c, err := a.Client()
	if err != nil {
		return nil, err
	}
	s := &Session{
		App: a, c: c, opts: opts, spec: spec,
		started: make(chan error, 1), ready: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

// Ahead begins the command in a VM that is still on the way, where nothing of
// this process has to be prepared for it. Its output waits for Run.
func (s *Session) Ahead(vmID string) {
	if !s.spec.TTY && !s.spec.Detached {
		s.begin(vmID, true)
	}
}

// Close gives up what was begun and is not run.
func (s *Session) Close() { s.cancel() }

// Run runs the command in a running VM, and returns its exit code. A detached
// command's code is 0 once it runs.
func (s *Session) Run(vm string) (int, error) {
	defer s.cancel()
	signal.Ignore(syscall.SIGPIPE) // the guest's command is told of a closed pipe, not this one
	defer signal.Reset(syscall.SIGPIPE)
	s.signals = make(chan os.Signal, 16)
	signal.Notify(s.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	defer signal.Stop(s.signals)
	if s.spec.TTY {
		s.prepare()
	} else {
		close(s.ready)
	}
	if err := s.start(vm); err != nil {
		return 0, err
	}
	if s.spec.Detached {
		return s.leave()
	}
	if s.spec.TTY {
		restore, err := s.raw()
		close(s.ready)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	return s.wait()
}

// Run runs a command in a running VM, as Session.Run, and returns its ID too.
func Run(ctx context.Context, a *app.App, vm string, spec api.ExecSpec, opts Options) (code int, id string, err error) {
	s, err := New(ctx, a, spec, opts)
	if err != nil {
		return 0, "", err
	}
	if code, err = s.Run(vm); err != nil {
		return 0, "", err
	}
	return code, s.exec.ID(), nil
}

// prepare completes the description of a command that gets a terminal.
func (s *Session) prepare() {
	if cols, rows, err := term.GetSize(int(s.Out.Fd())); err == nil {
		s.spec.Rows, s.spec.Cols = uint16(rows), uint16(cols)
	}
	if t := os.Getenv("TERM"); t != "" {
		s.spec.Env = append([]string{"TERM=" + t}, s.spec.Env...)
	}
}

// begin starts the command, in a VM that may be on the way.
func (s *Session) begin(vm string, await bool) {
	s.begun = true
	cfg := client.ExecConfig{Stdin: s.stdin(), Await: await}
	cfg.Stdout, cfg.Stderr = gate{s.Out, s.ready, s.ctx.Done()}, gate{s.Err, s.ready, s.ctx.Done()}
	if s.spec.Detached {
		cfg = client.ExecConfig{} // its output stays in the guest
	}
	go func() {
		var err error
		s.exec, err = s.c.Exec(s.ctx, vm, s.spec, cfg)
		s.started <- err
	}()
}

// start waits until the command runs; until then, a signal is for banger.
func (s *Session) start(vm string) error {
	if !s.begun {
		s.begin(vm, false)
	}
	for {
		select {
		case err := <-s.started:
			return err
		case sig := <-s.signals:
			if sig != syscall.SIGWINCH {
				return s.interrupted(sig)
			}
		}
	}
}

// interrupted gives a start up that a signal came into, unless the command is
// about to run: then the signal is the command's.
func (s *Session) interrupted(sig os.Signal) error {
	select {
	case err := <-s.started:
		if err == nil {
			select {
			case s.signals <- sig:
			default: // others came meanwhile
			}
		}
		return err
	case <-time.After(startGrace):
		s.cancel()
		<-s.started
		return app.ErrInterrupted
	}
}

// stdin is what the command reads: nothing where nobody asked for the
// terminal's input. nil spares a round trip.
func (s *Session) stdin() io.Reader {
	info, err := s.In.Stat()
	if err != nil {
		return nil
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return nil
	}
	if term.IsTerminal(int(s.In.Fd())) && !s.opts.Interactive {
		return nil
	}
	return s.In
}

func (s *Session) raw() (restore func(), err error) {
	old, err := term.MakeRaw(int(s.In.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	return func() {
		if err := term.Restore(int(s.In.Fd()), old); err != nil {
			s.Say("banger: the terminal could not be restored: %v; try: reset", err)
		}
	}, nil
}

// ended is how the command ended.
type ended struct {
	exit api.ExecExit
	err  error
}

// done tells how the command ended.
func (s *Session) done() <-chan ended {
	done := make(chan ended, 1)
	go func() {
		exit, err := s.exec.Wait()
		done <- ended{exit, err}
	}()
	return done
}

// leave lets the command run on, if it runs.
func (s *Session) leave() (int, error) {
	select {
	case e := <-s.done():
		if e.err != nil || e.exit.Error != "" {
			return s.code(e)
		}
		return app.ExitOK, nil
	case <-time.After(startGrace):
		return app.ExitOK, s.exec.Close()
	}
}

func (s *Session) limit() <-chan time.Time {
	if s.opts.Timeout == 0 {
		return nil
	}
	return time.After(s.opts.Timeout)
}

// wait passes signals on until the command has ended.
func (s *Session) wait() (int, error) {
	done := s.done()
	limit, timedOut := s.limit(), false
	asked, last := 0, time.Time{}
	for {
		select {
		case e := <-done:
			if timedOut {
				s.tell(fmt.Sprintf("the command was ended after %v", s.opts.Timeout))
				return app.ExitTimeout, nil
			}
			return s.code(e)
		case sig := <-s.signals:
			if sig == syscall.SIGWINCH {
				s.resize()
				continue
			}
			if time.Since(last) > inARow {
				asked = 0
			}
			last = time.Now()
			if asked++; asked == enough {
				return app.ExitInterrupted, s.exec.Close()
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

func (s *Session) forward(sig syscall.Signal) {
	if err := s.exec.Signal(int(sig)); err != nil {
		s.Tell(fmt.Errorf("the signal was not passed on: %w", err), "")
	}
}

// tell says something on a line of its own, where a terminal may be in the
// middle of one.
func (s *Session) tell(text string) {
	start := ""
	if s.spec.TTY {
		start = "\r"
	}
	s.Say("%sbanger: %s", start, text)
}

func (s *Session) resize() {
	if !s.spec.TTY {
		return
	}
	cols, rows, err := term.GetSize(int(s.Out.Fd()))
	if err == nil {
		err = s.exec.Resize(uint16(rows), uint16(cols))
	}
	if err != nil {
		s.Say("\rbanger: the terminal's new size was not passed on: %v\r", err)
	}
}

func (s *Session) code(e ended) (int, error) {
	if e.err != nil && !errors.Is(e.err, syscall.EPIPE) {
		return 0, e.err
	}
	if e.exit.Error != "" {
		s.tell(show.Safe(e.exit.Error))
	}
	return e.exit.Code, nil
}

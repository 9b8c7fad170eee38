package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/stream"
)

// ExecConfig is what an exec is connected to.
type ExecConfig struct {
	// Stdin is read until it ends, which may be after the command has; nil is
	// an empty one for a command that is started, and none for one that is
	// attached to.
	Stdin io.Reader
	// Stdout and Stderr take the output; nil discards it. After an error the
	// command gets SIGPIPE when it writes on.
	Stdout, Stderr io.Writer
	// Reconnect is how long to try to get a lost connection back: 60 s.
	Reconnect time.Duration
	// Await is for a VM that is being made or started and is named by its ID: the
	// command is begun when the guest is up, without another word between.
	Await bool
}

// ExecDialer connects to the socket of the VM's monitor. An *api.Error that no
// further attempt can cure ends the exec.
type ExecDialer func(ctx context.Context) (net.Conn, error)

// Exec is a command in a guest, with its streams. A lost connection is made
// again and goes on where it was.
type Exec struct {
	*link
	cfg ExecConfig

	copies sync.WaitGroup
	stop   context.CancelFunc
	over   chan struct{} // closed when the following are set
	exit   api.ExecExit
	err    error

	mu     sync.Mutex
	outErr error // the first error of Stdout or Stderr
}

// NewExecID makes up an exec's ID.
func NewExecID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// StartExec starts a command under an ID of the caller's choice (NewExecID)
// and returns when it is started. ctx ends it all, and leaves the command.
func StartExec(ctx context.Context, dial ExecDialer, id string, spec api.ExecSpec, cfg ExecConfig) (*Exec, error) {
	return newExec(ctx, dial, id, &spec, cfg)
}

// AttachExec attaches to a command that was started before, and takes the
// place of a client that is attached to it.
func AttachExec(ctx context.Context, dial ExecDialer, id string, cfg ExecConfig) (*Exec, error) {
	return newExec(ctx, dial, id, nil, cfg)
}

func newExec(ctx context.Context, dial ExecDialer, id string, spec *api.ExecSpec, cfg ExecConfig) (*Exec, error) {
	l := &link{what: "command", id: id, dial: dial, starts: spec != nil, early: spec != nil && cfg.Stdin == nil, end: stream.NewClient()}
	l.call = func(start bool, out, errs uint64) (string, any) {
		req := api.ExecAttachRequest{ID: id, StdoutOffset: out, StderrOffset: errs}
		if start {
			req.Start, req.Brief = spec, cfg.Stdin == nil
		}
		return api.MethodExecAttach, req
	}
	if spec != nil && cfg.Stdin == nil {
		l.end.Sender(stream.Stdin).Close() // marks the stream's end, which cannot fail
	}
	return open(ctx, l, cfg)
}

// open connects a link to what cfg has.
func open(ctx context.Context, l *link, cfg ExecConfig) (*Exec, error) {
	if cfg.Reconnect == 0 {
		cfg.Reconnect = time.Minute
	}
	ctx, stop := context.WithCancel(ctx)
	e := &Exec{link: l, cfg: cfg, stop: stop, over: make(chan struct{})}
	conn, err := e.connect(ctx, e.patience(cfg.Reconnect))
	if err != nil {
		stop()
		return nil, err
	}
	e.copyOutput(stream.Stdout, cfg.Stdout)
	e.copyOutput(stream.Stderr, cfg.Stderr)
	if cfg.Stdin != nil {
		go e.copyInput() // it may wait for input for ever
	}
	go e.run(ctx, conn)
	return e, nil
}

// ID is the exec's ID, by which it can be attached to.
func (e *Exec) ID() string { return e.id }

// Resize tells the command's terminal its size.
func (e *Exec) Resize(rows, cols uint16) error { return e.end.Resize(rows, cols) }

// Signal sends a signal, by its Linux number, to the command.
func (e *Exec) Signal(n int) error { return e.end.Signal(n) }

// Wait waits until the command has ended and all its output is written. An
// error is banger's: the command was lost, or its output could not be written
// (then the exit is set too).
func (e *Exec) Wait() (api.ExecExit, error) {
	<-e.over
	return e.exit, e.err
}

// Lost is the number of bytes of a detached command's output that were dropped
// before they could be read; valid after Wait.
func (e *Exec) Lost() uint64 { return e.lost }

// Close lets go of the command, which goes on: one that was not started
// detached is hung up when nobody attaches to it for ten minutes.
func (e *Exec) Close() error {
	e.stop()
	<-e.over
	return nil
}

func (e *Exec) copyOutput(id stream.ID, w io.Writer) {
	if w == nil {
		w = io.Discard
	}
	r := e.end.Receiver(id)
	e.copies.Go(func() {
		_, err := r.WriteTo(w)
		if err == nil {
			return
		}
		r.Stop()
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.outErr == nil {
			e.outErr = err
		}
	})
}

func (e *Exec) copyInput() {
	in := e.end.Sender(stream.Stdin)
	if _, err := in.ReadFrom(e.cfg.Stdin); err != nil && !errors.Is(err, stream.ErrStopped) && !errors.Is(err, stream.ErrClosed) {
		e.mu.Lock()
		e.outErr = errors.Join(e.outErr, fmt.Errorf("reading the command's input: %w", err))
		e.mu.Unlock()
	}
	in.Close() // marks the stream's end, which cannot fail
}

// run keeps the exec connected until its end.
func (e *Exec) run(ctx context.Context, conn net.Conn) {
	defer close(e.over)
	defer e.stop()
	go e.confirm()
	err := e.serve(ctx, conn, e.cfg.Reconnect)
	if err != nil {
		e.end.Close(err)
		e.copies.Wait()
		e.err = err
		return
	}
	e.copies.Wait()
	e.end.Close(nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = e.outErr
	if exit, err := decodeExit(e.end.Exit()); err != nil {
		e.err = err
	} else {
		e.exit = exit
	}
}

// confirm tells the guest that it may forget the command.
func (e *Exec) confirm() {
	select {
	case <-e.end.Exited():
		e.copies.Wait()
		e.end.Finish()
	case <-e.over:
	}
}

// decodeExit checks what comes from the guest.
func decodeExit(payload []byte) (api.ExecExit, error) {
	var exit api.ExecExit
	if err := json.Unmarshal(payload, &exit); err != nil {
		return exit, fmt.Errorf("the guest told the command's exit in a wrong way: %w", err)
	}
	if exit.Code < 0 || exit.Code > 255 || exit.Signal < 0 || exit.Signal > 64 {
		return api.ExecExit{}, fmt.Errorf("the guest told an impossible exit: code %d, signal %d", exit.Code, exit.Signal)
	}
	exit.Error = plain(exit.Error)
	return exit, nil
}

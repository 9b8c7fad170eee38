package guest

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
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/stream"
)

const (
	// patience is how long a lost channel to the agent may take to come back.
	patience = time.Minute
	// orphan is how long the guest keeps a connection for us; the next monitor
	// does not know of it.
	orphan = 90 * time.Second
	// settle is how long the reason for the end of what came may take to arrive:
	// the agent sends both at once.
	settle = 5 * time.Millisecond

	firstRest, lastRest = 20 * time.Millisecond, time.Second
)

// Conn is a connection from here to an address in the guest. It outlives the
// channel to the agent, but not this process or the guest's boot. What it holds
// is bounded by the stream's window, and it keeps up no other stream.
type Conn struct {
	client *Client
	id     string
	end    *stream.End
	life   context.Context
	leave  context.CancelFunc
	over   chan struct{} // closed when err is set
	err    error
}

// Connect connects to an address of the guest, waiting for the agent until ctx
// ends; a refusal is a fault of the guest's. The caller closes the connection.
func (c *Client) Connect(ctx context.Context, to api.DialSpec) (*Conn, error) {
	id := make([]byte, 16)
	rand.Read(id)
	x := &Conn{client: c, id: hex.EncodeToString(id), end: stream.NewClient(), over: make(chan struct{})}
	x.life, x.leave = context.WithCancel(c.life)
	s, err := x.attachWhile(ctx, &to)
	if err != nil {
		x.leave()
		return nil, err
	}
	go x.run(s)
	return x, nil
}

// attachWhile attaches, again and again while ctx lasts and the reason may pass.
func (x *Conn) attachWhile(ctx context.Context, start *api.DialSpec) (io.ReadWriteCloser, error) {
	for rest := firstRest; ; rest = min(2*rest, lastRest) {
		s, err := x.attach(ctx, start)
		if err == nil || ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable {
			return s, err
		}
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// attach opens the connection, with start, or goes on with it, and brings the
// streams to where the guest's are.
func (x *Conn) attach(ctx context.Context, start *api.DialSpec) (io.ReadWriteCloser, error) {
	had := x.end.Receiver(stream.Stdout).Offset()
	request, err := json.Marshal(api.DialOpenRequest{ID: x.id, Start: start, StdoutOffset: had, OrphanMS: orphan.Milliseconds()})
	if err != nil {
		return nil, fmt.Errorf("encoding a dial: %w", err)
	}
	s, ok, err := x.client.Dial(ctx, request, nil)
	if err != nil {
		return nil, err
	}
	at, err := x.end.Sender(stream.Stdin).Resume(ok.StdinOffset)
	if err == nil && (ok.ID != x.id || at != ok.StdinOffset || ok.StdoutOffset != had || ok.StderrOffset != 0) {
		err = fmt.Errorf("%w: it does not go on where it was", stream.ErrProtocol)
	}
	if err != nil {
		s.Close() // the first error is the one to tell
		return nil, err
	}
	x.end.ResumeControl(ok.ControlSeq, start != nil)
	return s, nil
}

// run serves the connection to its end.
func (x *Conn) run(s io.ReadWriteCloser) {
	defer close(x.over)
	defer x.leave()
	go func() {
		select {
		case <-x.end.Exited():
			x.end.Finish() // what came is in the receiver already
		case <-x.over:
		}
	}()
	if x.err = x.serve(s); x.err == nil {
		x.err = exitError(x.end.Exit())
	}
	x.end.Close(x.err) // readers get what came before it
}

// serve returns nil once the exit is here.
func (x *Conn) serve(s io.ReadWriteCloser) error {
	for rest := firstRest; ; {
		had := x.progress()
		unhook := context.AfterFunc(x.life, func() { s.Close() })
		call := &parting{ReadWriteCloser: s, exited: x.end.Exited()}
		err := x.end.Serve(call)
		unhook()
		call.over()
		select {
		case <-x.end.Exited():
			return nil
		default:
		}
		switch {
		case x.life.Err() != nil:
			return net.ErrClosed
		case errors.Is(err, stream.ErrProtocol):
			return err
		case x.progress() != had:
			rest = firstRest
		default: // taken and dropped
			rest = min(2*rest, lastRest)
			time.Sleep(rest)
		}
		ctx, cancel := context.WithTimeout(x.life, patience)
		s, err = x.attachWhile(ctx, nil)
		cancel()
		if err != nil {
			return err
		}
	}
}

// parting is a call of the agent that is not cut off once the exit is here: that
// it is must reach the agent, which ends the call then.
type parting struct {
	io.ReadWriteCloser
	exited <-chan struct{}
	leave  sync.Once
	limit  *time.Timer // of an agent that does not end it
}

// Close ends its reads and writes; who serves a stream calls it twice.
func (p *parting) Close() (err error) {
	select {
	case <-p.exited:
		p.leave.Do(func() {
			p.limit = time.AfterFunc(passLinger, func() { p.ReadWriteCloser.Close() })
			err = closeWrite(p.ReadWriteCloser)
		})
		return err
	default:
		return p.ReadWriteCloser.Close()
	}
}

// over is called when nobody serves it any more.
func (p *parting) over() {
	if p.limit != nil {
		p.limit.Stop()
	}
	p.ReadWriteCloser.Close() // all that was to be said was
}

// progress changes when bytes have come through, either way.
func (x *Conn) progress() uint64 {
	return x.end.Receiver(stream.Stdout).Offset() + x.end.Sender(stream.Stdin).Offset()
}

// exitError is why the connection broke in the guest, nil where it did not.
func exitError(payload []byte) error {
	var exit api.ExecExit
	if err := json.Unmarshal(payload, &exit); err != nil {
		return fmt.Errorf("the guest told the end of a connection in a wrong way: %w", err)
	}
	if exit.Error != "" {
		return fault.New(fault.Unavailable, "", "the connection broke in the guest: %s", clean(exit.Error))
	}
	return nil
}

// Read reads what comes from the address: io.EOF at its end, an error where the
// connection broke.
func (x *Conn) Read(p []byte) (int, error) {
	n, err := x.end.Receiver(stream.Stdout).Read(p)
	if errors.Is(err, io.EOF) {
		if broke := x.broken(); broke != nil {
			err = broke
		}
	}
	return n, err
}

// WriteTo writes to w what comes, until its end.
func (x *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := x.end.Receiver(stream.Stdout).WriteTo(w)
	if err == nil {
		err = x.broken()
	}
	return n, err
}

// broken says, at the end of what came, whether that is so because the
// connection broke. Where only this direction has ended nothing tells.
func (x *Conn) broken() error {
	select {
	case <-x.end.Exited():
		return exitError(x.end.Exit())
	case <-x.over:
		return x.err
	case <-time.After(settle):
		return nil
	}
}

// Write writes to the address; syscall.EPIPE where that takes no more.
func (x *Conn) Write(p []byte) (int, error) {
	n, err := x.end.Sender(stream.Stdin).Write(p)
	return n, piped(err)
}

// ReadFrom writes to the address what r has, until its end.
func (x *Conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := x.end.Sender(stream.Stdin).ReadFrom(r)
	return n, piped(err)
}

func piped(err error) error {
	if errors.Is(err, stream.ErrStopped) || errors.Is(err, stream.ErrClosed) {
		return syscall.EPIPE
	}
	return err
}

// CloseWrite tells the address that no more is written; what it sends is read on.
func (x *Conn) CloseWrite() error { return x.end.Sender(stream.Stdin).Close() }

// Wait waits for the end of both directions, when the guest has all that was
// written; the error says that the connection broke. What came must be read
// meanwhile.
func (x *Conn) Wait() error {
	<-x.over
	return x.err
}

// Close drops the connection without waiting for the guest, which is told if it
// can be, and finds out by itself otherwise.
func (x *Conn) Close() error {
	x.end.Receiver(stream.Stdout).Stop()
	if err := errors.Join(x.CloseWrite(), x.end.Signal(int(syscall.SIGHUP))); err != nil {
		x.leave() // it is over already
		return nil
	}
	time.AfterFunc(passLinger, x.leave)
	return nil
}

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/stream"
)

const (
	maxExecReply          = 64 << 10
	settled               = time.Second // a connection that lived so long was one
	firstPause, lastPause = 10 * time.Millisecond, time.Second
)

// link is a client's end of a stream with something in a guest. A lost
// connection is made again and goes on where it was.
type link struct {
	what string // it is, in messages
	id   string
	dial ExecDialer
	end  *stream.End
	// call is what the next attempt asks, given how much output is here; start:
	// no attempt of this client, which starts it, was answered yet.
	call   func(start bool, out, errs uint64) (method string, params any)
	starts bool // this client starts it
	early  bool // frames go along with the request that starts it
	waits  bool // that what is asked for is not there yet is no reason to give up

	attached bool   // an attempt was answered
	lost     uint64 // bytes of output that were dropped
}

// serve serves one connection after another. It returns nil once the exit is
// here.
func (l *link) serve(ctx context.Context, conn net.Conn, whole time.Duration) error {
	p := l.patience(whole)
	for {
		began, had := time.Now(), l.progress()
		unhook := context.AfterFunc(ctx, func() { conn.Close() })
		err := l.end.Serve(conn)
		unhook()
		select {
		case <-l.end.Exited():
			return nil // at worst its confirmation is lost
		default:
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, stream.ErrProtocol):
			return fmt.Errorf("the %s %s was lost: %w", l.what, l.id, err)
		case time.Since(began) > settled || l.progress() != had:
			p = l.patience(whole)
		default: // taken and dropped
			if err := p.rest(ctx, err); err != nil {
				return err
			}
		}
		if conn, err = l.connect(ctx, p); err != nil {
			return err
		}
	}
}

// progress changes when bytes have come through, either way.
func (l *link) progress() uint64 {
	return l.end.Receiver(stream.Stdout).Offset() + l.end.Receiver(stream.Stderr).Offset() +
		l.end.Sender(stream.Stdin).Offset()
}

// patience is how long to try to get a connection back.
type patience struct {
	what     string
	whole    time.Duration
	deadline time.Time
	pause    time.Duration
}

func (l *link) patience(whole time.Duration) *patience {
	return &patience{what: l.what, whole: whole, deadline: time.Now().Add(whole), pause: firstPause}
}

// rest waits before the next attempt; an error, made of the last attempt's,
// when there is to be none.
func (p *patience) rest(ctx context.Context, last error) error {
	if time.Until(p.deadline) < p.pause {
		return fmt.Errorf("the connection to the %s was lost, and %v of trying did not bring it back: %w", p.what, p.whole, last)
	}
	select {
	case <-time.After(p.pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.pause = min(2*p.pause, lastPause)
	return nil
}

// connect attaches, and tries again for as long as patience lasts and the
// reason may pass.
func (l *link) connect(ctx context.Context, p *patience) (net.Conn, error) {
	for {
		conn, err := l.attach(ctx)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if permanent(err) && !l.expected(err) {
			return nil, l.explain(err)
		}
		if err := p.rest(ctx, err); err != nil {
			return nil, err
		}
	}
}

// permanent reports whether another attempt would end the same way.
func permanent(err error) bool {
	if errors.Is(err, stream.ErrProtocol) {
		return true
	}
	var refused *api.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Kind {
	case api.KindNotFound, api.KindInvalid, api.KindFailedPrecondition:
		return true
	}
	return false
}

// expected reports whether a refusal is what this link waits out.
func (l *link) expected(err error) bool {
	return l.waits && !l.attached && api.KindOf(err) == api.KindFailedPrecondition
}

// explain says what it means that something is gone which was there.
func (l *link) explain(err error) error {
	var refused *api.Error
	if l.attached && errors.As(err, &refused) && refused.Kind == api.KindNotFound {
		return &api.Error{
			Kind:    api.KindNotFound,
			Message: "the " + l.what + " is gone: its guest was restarted, or gave it up",
			Hint:    "What it had done by then is in the guest; run it again if need be.",
		}
	}
	return err
}

// attach makes one attempt.
func (l *link) attach(ctx context.Context) (net.Conn, error) {
	conn, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	r, err := l.handshake(conn)
	if !unhook() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close() // the first error is the one to tell
		return nil, err
	}
	return &bufferedConn{Conn: conn, r: r}, nil
}

// handshake sends the request, reads the reply and resumes the streams.
func (l *link) handshake(conn net.Conn) (*bufio.Reader, error) {
	start := l.starts && !l.attached
	out, errs := l.end.Receiver(stream.Stdout).Offset(), l.end.Receiver(stream.Stderr).Offset()
	method, params := l.call(start, out, errs)
	line, err := encodeCall(method, params)
	if err != nil {
		return nil, err
	}
	if start && l.early { // the end of an empty stdin goes along with the request
		line = l.end.Prepare(line)
	}
	if _, err := conn.Write(line); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	reply, err := readReply(r)
	if err != nil {
		return nil, err
	}
	return r, l.resume(out, errs, reply)
}

// resume brings the streams to where the guest's are.
func (l *link) resume(out, errs uint64, ok *api.ExecAttached) error {
	if ok.ID != l.id {
		return fmt.Errorf("%w: it answered for another", stream.ErrProtocol)
	}
	if ok.Frames > stream.Version {
		return api.NewError(api.KindInvalid,
			fmt.Sprintf("the %s speaks version %d of the stream's frames, this program up to %d", l.what, ok.Frames, stream.Version),
			"The VM was started by a newer banger: use that one.")
	}
	first := !l.attached
	l.attached = true
	in := l.end.Sender(stream.Stdin)
	if first && !l.starts {
		in.Restart(ok.StdinOffset) // others have written before us
	} else if at, err := in.Resume(ok.StdinOffset); err != nil {
		return err
	} else if at != ok.StdinOffset {
		return fmt.Errorf("%w: it lost input that it had acknowledged", stream.ErrProtocol)
	}
	for _, s := range []struct {
		id         stream.ID
		asked, got uint64
	}{
		{stream.Stdout, out, ok.StdoutOffset},
		{stream.Stderr, errs, ok.StderrOffset},
	} {
		if err := l.end.Receiver(s.id).Skip(s.got); err != nil {
			return err
		}
		l.lost += s.got - s.asked
	}
	l.end.ResumeControl(ok.ControlSeq, first)
	return nil
}

func encodeCall(method string, params any) ([]byte, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", method, err)
	}
	line, err := json.Marshal(rpc.Request{Version: "2.0", ID: json.RawMessage("1"), Method: method, Params: raw})
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", method, err)
	}
	if len(line) > rpc.MaxRequest {
		return nil, api.NewError(api.KindInvalid,
			fmt.Sprintf("the request, all names and arguments in it, is longer than %d bytes", rpc.MaxRequest),
			"Pass large data through stdin.")
	}
	return append(line, '\n'), nil
}

func readReply(r *bufio.Reader) (*api.ExecAttached, error) {
	line, err := readBounded(r)
	if err != nil {
		return nil, err
	}
	var reply rpc.Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return nil, fmt.Errorf("%w: its reply is no JSON-RPC: %w", stream.ErrProtocol, err)
	}
	if reply.Error != nil {
		return nil, reply.Error.API()
	}
	var ok api.ExecAttached
	if err := json.Unmarshal(reply.Result, &ok); err != nil {
		return nil, fmt.Errorf("%w: its reply cannot be read: %w", stream.ErrProtocol, err)
	}
	return &ok, nil
}

func readBounded(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxExecReply:
			return nil, fmt.Errorf("%w: its reply is longer than %d bytes", stream.ErrProtocol, maxExecReply)
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// bufferedConn is a connection of which some is read already.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// plain makes a guest's text fit to be shown: bounded, and without control
// characters.
func plain(s string) string {
	const most = 1 << 10
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
}

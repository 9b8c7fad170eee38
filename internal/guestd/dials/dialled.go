package dials

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/stream"
)

// dialled is one connection, from its opening until its client knows its end.
type dialled struct {
	server  *Server
	id      string
	end     *stream.End
	session *session.Session
	ready   chan struct{} // closed when it is open, or could not be opened

	// Set before ready is closed.
	fail *wire.ExecFail
	conn halfCloser

	dropping sync.Once
}

// halfCloser is a TCP or Unix connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func newDialled(s *Server, id string, orphanAfter time.Duration) *dialled {
	d := &dialled{server: s, id: id, ready: make(chan struct{})}
	d.end = stream.NewAgent(stream.Hooks{
		Signal: func(int) { d.drop() },
		Resize: func(uint16, uint16) {},
	})
	d.end.Sender(stream.Stderr).Close() // there is none; that cannot fail
	d.session = session.New(d.end, orphanAfter, func() { s.remove(d) })
	return d
}

// open connects, and copies from then on.
func (d *dialled) open(spec api.DialSpec, timeout time.Duration) {
	defer close(d.ready)
	ctx, cancel := context.WithTimeout(context.Background(), timeout) // a client that reconnects finds it
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, spec.Network, spec.Address)
	if err != nil {
		d.fail = refusal(spec, err)
		return
	}
	half, ok := conn.(halfCloser)
	if !ok { // it is one of those two
		conn.Close()
		d.fail = refusal(spec, errors.ErrUnsupported)
		return
	}
	d.conn = half
	go d.copy()
}

// drop ends the connection now.
func (d *dialled) drop() {
	<-d.ready
	if d.conn != nil {
		d.dropping.Do(func() { d.conn.Close() }) // the copies end, and tell
	}
}

// copy passes both directions on until both have ended.
func (d *dialled) copy() {
	in, out := d.end.Receiver(stream.Stdin), d.end.Sender(stream.Stdout)
	var sent error
	var both sync.WaitGroup
	both.Go(func() {
		_, sent = in.WriteTo(d.conn)
		if sent == nil {
			sent = d.conn.CloseWrite()
		} else {
			in.Stop()
		}
	})
	_, received := out.ReadFrom(d.conn)
	if errors.Is(received, stream.ErrStopped) {
		received = nil
		d.drop() // nobody wants what comes: as if a program had closed it
	}
	out.Close() // marks the stream's end, which cannot fail
	if received != nil {
		d.drop() // it broke: nothing can be sent either
		in.Stop()
	}
	both.Wait()
	d.drop()
	exit := api.ExecExit{}
	if err := errors.Join(broken(received), broken(sent)); err != nil {
		exit = api.ExecExit{Code: 1, Error: err.Error()}
	}
	payload, err := json.Marshal(exit)
	if err != nil { // it is a number and a text
		d.server.log.Error("encoding an exit failed", "dial", d.id, "err", err)
	}
	d.end.SetExit(payload)
}

// broken is the error of a connection that broke; nil where it was closed by
// one of its ends.
func broken(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, stream.ErrClosed), errors.Is(err, stream.ErrStopped):
		return nil
	}
	return err
}

// serve serves one call of its client.
func (d *dialled) serve(c *session.Conn, req api.DialOpenRequest) error {
	at, err := d.end.Sender(stream.Stdout).Resume(req.StdoutOffset)
	if err != nil {
		fail := invalid("Open another connection.", "the client has more bytes than have come")
		return errors.Join(err, c.Reply(wire.ExecReply{Error: fail}))
	}
	err = c.Reply(wire.ExecReply{OK: &wire.ExecOK{
		ID: d.id, StdinOffset: d.end.Receiver(stream.Stdin).Offset(), StdoutOffset: at,
		ControlSeq: d.end.ControlSeq(), Window: stream.Window,
	}})
	if err != nil {
		return err
	}
	return d.end.Serve(c)
}

package dials

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/stream"
)

// dialled is one connection.
type dialled struct {
	log     *slog.Logger
	end     *stream.End
	spec    api.DialSpec
	timeout time.Duration

	conn     halfCloser // set by Open
	dropping sync.Once
}

// halfCloser is a TCP or Unix connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func newDialled(log *slog.Logger, end *stream.End, spec api.DialSpec, timeout time.Duration) *dialled {
	end.Sender(stream.Stderr).Close() // there is none; that cannot fail
	return &dialled{log: log, end: end, spec: spec, timeout: timeout}
}

// Open connects, and copies from then on.
func (d *dialled) Open() *wire.ExecFail {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout) // a client that reconnects finds it
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, d.spec.Network, d.spec.Address)
	if err != nil {
		return refusal(d.spec, err)
	}
	half, ok := conn.(halfCloser)
	if !ok { // it is one of those two
		conn.Close()
		return refusal(d.spec, errors.ErrUnsupported)
	}
	d.conn = half
	go d.copy()
	return nil
}

// Drop ends the connection now.
func (d *dialled) Drop() {
	d.dropping.Do(func() { d.conn.Close() }) // the copies end, and tell
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
		d.Drop() // nobody wants what comes: as if a program had closed it
	}
	out.Close() // marks the stream's end, which cannot fail
	if received != nil {
		d.Drop() // it broke: nothing can be sent either
		in.Stop()
	}
	both.Wait()
	d.Drop()
	exit := api.ExecExit{}
	if err := errors.Join(broken(received), broken(sent)); err != nil {
		exit = api.ExecExit{Code: 1, Error: err.Error()}
	}
	payload, err := json.Marshal(exit)
	if err != nil { // it is a number and a text
		d.log.Error("encoding an exit failed", "dial", d.spec.Address, "err", err)
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

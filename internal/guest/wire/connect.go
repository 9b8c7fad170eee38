package wire

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Connect is the host's end: it begins a connection on the raw channel to a
// guest and returns when the guest has answered, however much was left on the
// channel by others. It owns raw from then on; an error closes it.
func Connect(ctx context.Context, raw io.ReadWriteCloser) (net.Conn, error) {
	var nonce Nonce
	rand.Read(nonce[:]) // never fails
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	c := &hostConn{raw: raw, in: bufio.NewReaderSize(raw, 32<<10), nonce: nonce}

	answered := make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- repeatSync(raw, nonce, answered) }()
	err := c.awaitAnswer()
	close(answered)
	if err != nil {
		raw.Close()
		err = errors.Join(err, <-sent)
	} else {
		err = <-sent // nothing but whole Syncs goes ahead of the payload
	}
	if !stop() || err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the guest's agent did not answer: %w", ctx.Err())
		}
		return nil, fmt.Errorf("the agent channel broke before the guest answered: %w", err)
	}
	return c, nil
}

// repeatSync sends Sync until stop is closed.
func repeatSync(w io.Writer, nonce Nonce, stop <-chan struct{}) error {
	tick := time.NewTicker(SyncInterval)
	defer tick.Stop()
	for {
		if _, err := w.Write(Sync(nonce)); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
	}
}

// hostConn is an answered connection.
type hostConn struct {
	raw   io.ReadWriteCloser
	in    *bufio.Reader
	nonce Nonce
	begun bool // the payload has: no more answers come

	wmu sync.Mutex // one writer at a time, as any net.Conn has it
	out matcher
}

// awaitAnswer drops all that comes before the answer to our own nonce.
func (c *hostConn) awaitAnswer() error {
	var m matcher
	for {
		if err := m.skip(c.in); err != nil {
			return err
		}
		rest := frameSize - len(prefix)
		p, err := c.in.Peek(rest)
		if err != nil {
			return err
		}
		if nonce, ok := parseTail(kindAnswer, p[1:]); ok && p[0] == magic[len(prefix)] && nonce == c.nonce {
			_, err = c.in.Discard(rest)
			return err
		}
	}
}

// Read returns payload. The guest answered every Sync it got, so more answers
// may come first.
func (c *hostConn) Read(p []byte) (int, error) {
	answer := Answer(c.nonce)
	for !c.begun {
		b, err := c.in.Peek(1)
		if err != nil {
			return 0, err
		}
		if b[0] != answer[0] {
			c.begun = true
			break
		}
		got, err := c.in.Peek(frameSize)
		if err != nil {
			return 0, err
		}
		if string(got) != string(answer) {
			return 0, errCorrupt
		}
		if _, err := c.in.Discard(frameSize); err != nil {
			return 0, err
		}
	}
	return c.in.Read(p)
}

// Write sends payload, stuffed.
func (c *hostConn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	done := 0
	for done < len(p) {
		n, found := c.out.next(p[done:])
		w, err := c.raw.Write(p[done : done+n])
		done += w
		if err != nil {
			return done, err
		}
		if !found {
			continue
		}
		if _, err := c.raw.Write([]byte{stuffing}); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (c *hostConn) Close() error { return c.raw.Close() }

func (c *hostConn) LocalAddr() net.Addr  { return channelAddr{} }
func (c *hostConn) RemoteAddr() net.Addr { return channelAddr{} }

func (c *hostConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *hostConn) SetReadDeadline(t time.Time) error {
	if d, ok := c.raw.(interface{ SetReadDeadline(time.Time) error }); ok {
		return d.SetReadDeadline(t)
	}
	return os.ErrNoDeadline
}

func (c *hostConn) SetWriteDeadline(t time.Time) error {
	if d, ok := c.raw.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return d.SetWriteDeadline(t)
	}
	return os.ErrNoDeadline
}

// channelAddr is the address of either end of an agent channel.
type channelAddr struct{}

func (channelAddr) Network() string { return "agent" }
func (channelAddr) String() string  { return PortName }

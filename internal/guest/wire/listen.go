package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Port is the guest's end of a raw channel: a virtio-serial port or a vsock
// connection. A deadline in the past ends a Read or Write that waits.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Listener accepts the connections that follow each other on a port, one at a
// time; the next begins with the last one's end.
type Listener struct {
	port Port
	// again: the port outlives its hosts, and its Read returns io.EOF once
	// whenever one leaves.
	again bool

	// turn is held by whoever reads the port: Accept, or the current connection.
	turn chan struct{}
	in   *bufio.Reader
	sync *Nonce // a Sync that ended the last connection, not answered yet

	closed chan struct{}
	once   sync.Once
}

// Listen makes a listener on port. again says that the port outlives its
// hosts: its Read returns io.EOF once whenever one leaves, and waits after that.
func Listen(port Port, again bool) *Listener {
	l := &Listener{
		port: port, again: again,
		turn:   make(chan struct{}, 1),
		in:     bufio.NewReaderSize(port, 64<<10),
		closed: make(chan struct{}),
	}
	l.turn <- struct{}{}
	return l
}

// Accept returns the next connection once its payload begins.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.turn:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		err := l.handshake()
		if err == nil {
			return newGuestConn(l), nil
		}
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		default:
		}
		if !l.again || !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the agent channel failed: %w", err)
		}
	}
}

// Close ends Accept and closes the port.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.port.Close()
	})
	return err
}

// Addr names the channel.
func (l *Listener) Addr() net.Addr { return channelAddr{} }

// handshake drops all up to a Sync, answers it and every one that follows,
// and returns when something else does.
func (l *Listener) handshake() error {
	for {
		if l.sync == nil {
			if err := l.scan(); err != nil {
				return err
			}
		}
		answer := Answer(*l.sync)
		l.sync = nil
		if _, err := l.port.Write(answer); err != nil {
			return err
		}
		b, err := l.in.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != magic[0] {
			return nil // HTTP/2's preface begins with another byte
		}
	}
}

// scan reads up to the end of the next Sync.
func (l *Listener) scan() error {
	var m matcher
	for {
		if err := m.skip(l.in); err != nil {
			return err
		}
		b, err := l.in.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != magic[len(prefix)] {
			continue
		}
		if err := l.readSync(); !errors.Is(err, errCorrupt) {
			return err
		}
	}
}

// readSync takes the rest of a Sync, from the magic's last byte on. Of bytes
// that are none it takes nothing more than that byte: a whole Sync may begin
// among them.
func (l *Listener) readSync() error {
	p, err := l.in.Peek(frameSize - len(prefix))
	if err != nil {
		return err
	}
	nonce, ok := parseTail(kindSync, p[1:])
	if !ok {
		_, err := l.in.Discard(1)
		return errors.Join(errCorrupt, err)
	}
	l.sync = &nonce
	_, err = l.in.Discard(len(p))
	return err
}

func newGuestConn(l *Listener) *guestConn {
	c := &guestConn{l: l, ended: make(chan struct{})}
	c.out.init(l.port)
	return c
}

// guestConn is a connection; it has the listener's turn until it is closed.
type guestConn struct {
	l     *Listener
	rmu   sync.Mutex // serialises the readers of the port, of which Close is the last
	out   outbox     // likewise its writers
	in    matcher
	mark  bool // the prefix was just read: stuffing or a Sync follows
	ended chan struct{}
	once  sync.Once
}

func (c *guestConn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.isEnded() {
		return 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.mark {
		if err := c.afterPrefix(); err != nil {
			return 0, err
		}
		c.mark = false
	}
	if _, err := c.l.in.Peek(1); err != nil {
		return 0, err
	}
	b, _ := c.l.in.Peek(min(len(p), c.l.in.Buffered()))
	n, found := c.in.next(b)
	c.mark = found
	return c.l.in.Read(p[:n])
}

// afterPrefix takes the byte after the magic's first seven.
func (c *guestConn) afterPrefix() error {
	b, err := c.l.in.Peek(1)
	if err != nil {
		return err
	}
	switch b[0] {
	case stuffing:
		_, err = c.l.in.Discard(1)
		return err
	case magic[len(prefix)]:
		if err := c.l.readSync(); err != nil {
			return err
		}
		return io.EOF // a new host
	default:
		return errCorrupt
	}
}

func (c *guestConn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends the connection and leaves the port to the next one.
func (c *guestConn) Close() error {
	var err error
	c.once.Do(func() {
		c.out.flush(lastWords)
		close(c.ended)
		past := time.Unix(1, 0)
		err = errors.Join(c.l.port.SetReadDeadline(past), c.l.port.SetWriteDeadline(past))
		c.rmu.Lock() // whoever was in there has left now
		defer c.rmu.Unlock()
		c.out.close()
		err = errors.Join(err, c.l.port.SetReadDeadline(time.Time{}), c.l.port.SetWriteDeadline(time.Time{}))
		c.l.turn <- struct{}{}
	})
	if errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) {
		return nil // the port went first
	}
	return err
}

func (c *guestConn) isEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *guestConn) LocalAddr() net.Addr  { return channelAddr{} }
func (c *guestConn) RemoteAddr() net.Addr { return channelAddr{} }

// The server sets no deadlines but to end what waits; Close does that.
func (c *guestConn) SetDeadline(time.Time) error      { return nil }
func (c *guestConn) SetReadDeadline(time.Time) error  { return nil }
func (c *guestConn) SetWriteDeadline(time.Time) error { return nil }

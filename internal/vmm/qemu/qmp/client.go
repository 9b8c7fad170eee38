package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// writeTimeout bounds a write: a QEMU that reads no commands hangs.
const writeTimeout = 5 * time.Second

// Client is one control connection.
type Client struct {
	conn    net.Conn
	version Version
	onEvent func(Event)
	writing chan struct{} // holds a token while nobody writes
	done    chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan<- message // nil once the reader has ended
	err     error
}

// New takes conn over, reads the greeting and negotiates. onEvent is called
// for every event, in order, from one goroutine; it must not block. QEMU
// serves one connection at a time, so another's makes this one wait for ctx.
func New(ctx context.Context, conn net.Conn, onEvent func(Event)) (*Client, error) {
	c := &Client{
		conn: conn, onEvent: onEvent,
		writing: make(chan struct{}, 1), done: make(chan struct{}),
		waiting: map[uint64]chan<- message{},
	}
	c.writing <- struct{}{}
	greeted := make(chan struct{})
	go c.read(greeted)
	select {
	case <-greeted:
	case <-c.done:
		return nil, c.failure()
	case <-ctx.Done():
		c.close()
		return nil, fmt.Errorf("QEMU did not greet on its control socket; does another process hold it? %w", context.Cause(ctx))
	}
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// Version is QEMU's, from its greeting.
func (c *Client) Version() Version { return c.version }

// Done is closed when the connection has ended; no event comes after it.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection.
func (c *Client) Close() error {
	c.close()
	return nil
}

// close ends the reader; the connection carries nothing that could be lost.
func (c *Client) close() {
	_ = c.conn.Close()
	<-c.done
}

// Execute runs a command and decodes what it returns into result, unless nil.
func (c *Client) Execute(ctx context.Context, name string, args, result any) error {
	reply := make(chan message, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	open := c.waiting != nil
	if open {
		c.waiting[id] = reply
	}
	c.mu.Unlock()
	if !open {
		return c.failure()
	}
	defer c.forget(id)
	line, err := json.Marshal(command{Execute: name, Arguments: args, ID: id})
	if err != nil {
		return fmt.Errorf("encoding QMP's %s: %w", name, err)
	}
	if err := c.write(ctx, append(line, '\n')); err != nil {
		return fmt.Errorf("sending QMP's %s: %w", name, err)
	}
	select {
	case m := <-reply:
		return decode(name, m, result)
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("QEMU did not answer %s: %w", name, context.Cause(ctx))
	}
	select { // the reply may have come just before the end
	case m := <-reply:
		return decode(name, m, result)
	default:
		return c.failure()
	}
}

func decode(name string, m message, result any) error {
	if m.Error != nil {
		m.Error.Command = name
		return m.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, result); err != nil {
		return fmt.Errorf("%w: the reply to %s: %w", ErrProtocol, name, err)
	}
	return nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// write sends one line whole, or ends the connection: half a command would
// make sense of nothing that follows.
func (c *Client) write(ctx context.Context, line []byte) error {
	select {
	case <-c.writing:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.writing <- struct{}{} }()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(line); err != nil {
		_ = c.conn.Close() // err says it all
		return err
	}
	return nil
}

// read is the reader: it ends with the connection or at the first line that
// is not QMP.
func (c *Client) read(greeted chan<- struct{}) {
	lines := bufio.NewScanner(c.conn)
	lines.Buffer(make([]byte, 0, 4096), MaxLine)
	var err error
	for err == nil && lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var m message
		if m, err = parse(lines.Bytes()); err == nil {
			err = c.dispatch(m, &greeted)
		}
	}
	if err == nil {
		err = lines.Err()
	}
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("%w: a line is longer than %d bytes", ErrProtocol, MaxLine)
	case err == nil, errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF):
		err = ErrClosed
	case !errors.Is(err, ErrProtocol):
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	c.mu.Lock()
	c.err, c.waiting = err, nil
	c.mu.Unlock()
	_ = c.conn.Close() // err says it all
	close(c.done)
}

// dispatch gives m to whom it is for. The greeting comes first and once.
func (c *Client) dispatch(m message, greeted *chan<- struct{}) error {
	if (m.QMP != nil) != (*greeted != nil) {
		return fmt.Errorf("%w: the greeting does not come first", ErrProtocol)
	}
	switch {
	case m.QMP != nil:
		c.version = m.QMP.Version.QEMU
		close(*greeted)
		*greeted = nil
	case m.Event != "":
		c.onEvent(m.event())
	default:
		c.mu.Lock()
		reply, ok := c.waiting[*m.ID]
		delete(c.waiting, *m.ID)
		c.mu.Unlock()
		if ok { // else its caller has given up
			reply <- m
		}
	}
	return nil
}

func (c *Client) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

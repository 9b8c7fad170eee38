package fakeproc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxLine bounds a line of the control socket.
const maxLine = 64 << 10

// errLost says that the VMM let go of its control connection.
var errLost = errors.New("the fake VMM has closed its control connection")

// client speaks with the control socket.
type client struct {
	conn  net.Conn
	hello Message
	heard func(Message) // an event; it never blocks
	done  chan struct{} // closed when nothing more comes

	mu      sync.Mutex
	last    int
	waiting map[int]chan Message
	lost    bool
}

// newClient takes the greeting.
func newClient(ctx context.Context, conn net.Conn, heard func(Message)) (*client, error) {
	c := &client{conn: conn, heard: heard, done: make(chan struct{}), waiting: map[int]chan Message{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a dead connection has none
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	var err error
	if !lines.Scan() {
		err = errors.Join(errLost, lines.Err())
	} else if err = json.Unmarshal(lines.Bytes(), &c.hello); err != nil {
		err = fmt.Errorf("the fake VMM's greeting is not understood: %w", err)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return nil, errors.Join(err, conn.Close())
	}
	go c.read(lines)
	return c, nil
}

func (c *client) read(lines *bufio.Scanner) {
	defer close(c.done)
	for lines.Scan() {
		var m Message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			break // it is no VMM of ours any more
		}
		if m.ID == 0 {
			c.heard(m)
			continue
		}
		c.mu.Lock()
		answer := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
	for _, answer := range c.waiting {
		close(answer)
	}
	c.waiting = nil
}

// ask sends a request and waits for its answer.
func (c *client) ask(ctx context.Context, do string) (Message, error) {
	answer := make(chan Message, 1)
	c.mu.Lock()
	if c.lost {
		c.mu.Unlock()
		return Message{}, errLost
	}
	c.last++
	id := c.last
	c.waiting[id] = answer
	c.mu.Unlock()
	line, err := json.Marshal(Request{ID: id, Do: do})
	if err != nil {
		return Message{}, err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return Message{}, fmt.Errorf("asking the fake VMM to %s: %w", do, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return Message{}, fmt.Errorf("asking the fake VMM to %s: %w", do, errLost)
		case m.Error != "":
			return Message{}, fmt.Errorf("the fake VMM refuses to %s: %s", do, m.Error)
		}
		return m, nil
	case <-ctx.Done():
		return Message{}, fmt.Errorf("asking the fake VMM to %s: %w", do, context.Cause(ctx))
	}
}

func (c *client) close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// control serves the control socket, to any number of clients.
type control struct {
	m *machine

	mu        sync.Mutex
	listeners map[*session]bool
	sending   sync.WaitGroup
}

// session is one client. What it does not read in time it loses, and its
// connection with that.
type session struct {
	conn net.Conn
	out  chan fakeproc.Message
}

// maxUnread is how many messages may wait for a client.
const maxUnread = 64

func (c *control) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if err := c.m.faults.at(stepGreet); err != nil {
			fmt.Fprintln(os.Stderr, "fakevmm:", err)
			conn.Close()
			continue
		}
		go c.talk(conn)
	}
}

func (c *control) talk(conn net.Conn) {
	defer conn.Close()
	s := &session{conn: conn, out: make(chan fakeproc.Message, maxUnread)}
	c.join(s)
	defer c.leave(s)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var r fakeproc.Request
		if json.Unmarshal(lines.Bytes(), &r) != nil || r.ID == 0 {
			return
		}
		go func() {
			answer, err := c.m.do(r.Do)
			answer.ID = r.ID
			if err != nil {
				answer.Error = err.Error()
			}
			c.send(s, answer)
		}()
	}
}

// join greets a client: no event comes between what it is told and what it hears.
func (c *control) join(s *session) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.out <- fakeproc.Message{Version: fakeproc.Version, State: c.m.state, Reason: c.m.reason}
	c.listeners[s] = true
	c.sending.Go(func() {
		out := json.NewEncoder(s.conn)
		for msg := range s.out {
			_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second)) // a dead connection has none
			if out.Encode(msg) != nil {
				s.conn.Close()
			}
		}
	})
}

func (c *control) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners[s] {
		delete(c.listeners, s)
		close(s.out)
	}
}

func (c *control) send(s *session, msg fakeproc.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listeners[s] {
		return
	}
	select {
	case s.out <- msg:
	default:
		s.conn.Close()
	}
}

// tell tells all clients.
func (c *control) tell(msg fakeproc.Message) {
	c.mu.Lock()
	all := make([]*session, 0, len(c.listeners))
	for s := range c.listeners {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		c.send(s, msg)
	}
}

// end waits until all has been sent.
func (c *control) end() {
	c.mu.Lock()
	for s := range c.listeners {
		delete(c.listeners, s)
		close(s.out)
	}
	c.mu.Unlock()
	c.sending.Wait()
}

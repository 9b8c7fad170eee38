package main

import (
	"net"
	"os"
	"sync"
	"time"
)

// console is the guest's serial line. What nobody has read yet is kept, bounded.
type console struct {
	heard chan struct{} // closed when the guest's last word was read

	mu      sync.Mutex
	master  *os.File // nil before the guest
	conn    net.Conn
	unread  []byte
	changed *sync.Cond
	over    bool
}

// maxUnreadConsole bounds what is kept, in bytes.
const maxUnreadConsole = 1 << 20

func newConsole() *console {
	c := &console{heard: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	go c.send()
	return c
}

// attach gives the console its guest.
func (c *console) attach(master *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.master = master
	go c.listen(master)
}

// listen takes what the guest says until its last terminal is closed.
func (c *console) listen(master *os.File) {
	defer close(c.heard)
	buf := make([]byte, 32<<10)
	for {
		n, err := master.Read(buf)
		c.keep(buf[:n])
		if err != nil {
			return
		}
	}
}

func (c *console) keep(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = append(c.unread, p...)
	c.unread = c.unread[max(0, len(c.unread)-maxUnreadConsole):]
	c.changed.Broadcast()
}

func (c *console) print(text string) { c.keep([]byte(text)) }

// send gives whoever is connected what has not been read.
func (c *console) send() {
	for {
		c.mu.Lock()
		for !c.over && (c.conn == nil || len(c.unread) == 0) {
			c.changed.Wait()
		}
		conn, part := c.conn, c.unread
		if conn == nil || len(part) == 0 { // it is over
			if conn != nil {
				conn.Close()
			}
			c.conn = nil
			c.changed.Broadcast()
			c.mu.Unlock()
			return
		}
		c.unread = nil
		over := c.over
		c.mu.Unlock()
		if over {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // a dead connection has none
		}
		n, err := conn.Write(part)
		if err != nil {
			c.mu.Lock()
			c.unread = append(part[n:len(part):len(part)], c.unread...)
			if c.conn == conn {
				c.conn = nil
			}
			c.mu.Unlock()
			conn.Close()
		}
	}
}

// serve connects one after the other; the last one has the console.
func (c *console) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		old := c.conn
		c.conn = conn
		c.changed.Broadcast()
		c.mu.Unlock()
		if old != nil {
			old.Close()
		}
		go c.toGuest(conn)
	}
}

// toGuest passes what is typed to the guest.
func (c *console) toGuest(conn net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := conn.Read(buf)
		c.mu.Lock()
		master := c.master
		c.mu.Unlock()
		if n > 0 && master != nil {
			if _, werr := master.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn && !c.over {
		c.conn = nil
		conn.Close()
	}
}

// end waits, bounded, until the guest's last words were read.
func (c *console) end() {
	select {
	case <-c.heard:
	case <-time.After(time.Second): // a process of the guest's that ends late has it open
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.changed.Broadcast()
	for c.conn != nil {
		c.changed.Wait()
	}
}

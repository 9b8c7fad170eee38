package main

import (
	"net"
	"os"
	"sync"
)

// port is the wire to the guest's agent: a terminal that lets all bytes
// through, which the guest takes for its virtio-serial port. While no host is
// connected what the guest says is lost.
type port struct {
	mu     sync.Mutex
	master *os.File // nil before the guest
	conn   net.Conn
}

// attach gives the port its guest.
func (p *port) attach(master *os.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.master = master
	go p.toHost(master)
}

func (p *port) current() (net.Conn, *os.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn, p.master
}

// toHost passes what the guest says to whoever is connected.
func (p *port) toHost(master *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := master.Read(buf)
		if conn, _ := p.current(); conn != nil && n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				p.drop(conn)
			}
		}
		if err != nil {
			return
		}
	}
}

// drop ends a connection, unless another has its place.
func (p *port) drop(conn net.Conn) {
	p.mu.Lock()
	if p.conn == conn {
		p.conn = nil
	}
	p.mu.Unlock()
	conn.Close()
}

// serve connects one after the other; the last one has the port.
func (p *port) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		old := p.conn
		p.conn = conn
		p.mu.Unlock()
		if old != nil {
			old.Close()
		}
		go p.toGuest(conn)
	}
}

func (p *port) toGuest(conn net.Conn) {
	defer p.drop(conn)
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if now, master := p.current(); n > 0 && now == conn && master != nil {
			if _, werr := master.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

package fake

import (
	"io"
	"os"
	"sync"
)

// maxConsole bounds what nobody reads.
const maxConsole = 1 << 20

// console is a serial line: two queues that never block their writer.
type console struct{ out, in *queue }

func newConsole() *console { return &console{newQueue(), newQueue()} }

func (c *console) end() {
	c.out.close()
	c.in.close()
}

type ends struct {
	io.Reader
	io.Writer
}

func (c *console) guestEnd() io.ReadWriter { return ends{c.in.reader(), c.out} }

// open is the host's end; closing it disturbs the guest no more than pulling
// a cable does.
func (c *console) open() *consoleConn {
	return &consoleConn{reader: c.out.reader(), Writer: c.in}
}

type consoleConn struct {
	*reader
	io.Writer
}

func (c *consoleConn) Close() error { c.stop(); return nil }

type queue struct {
	mu     sync.Mutex
	data   []byte
	closed bool
	change chan struct{} // closed and renewed at each change
}

func newQueue() *queue { return &queue{change: make(chan struct{})} }

func (q *queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, os.ErrClosed
	}
	q.data = append(q.data, p...)
	if over := len(q.data) - maxConsole; over > 0 {
		q.data = q.data[over:]
	}
	q.changed()
	return len(p), nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed()
}

func (q *queue) changed() {
	close(q.change)
	q.change = make(chan struct{})
}

// take moves what there is into p; ended says that no more comes.
func (q *queue) take(p []byte) (n int, ended bool, change <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = copy(p, q.data)
	q.data = q.data[n:]
	return n, q.closed, q.change
}

// reader reads a queue until the queue or the reader is closed.
type reader struct {
	q    *queue
	once sync.Once
	gone chan struct{}
}

func (q *queue) reader() *reader { return &reader{q: q, gone: make(chan struct{})} }

func (r *reader) stop() { r.once.Do(func() { close(r.gone) }) }

func (r *reader) Read(p []byte) (int, error) {
	for {
		select {
		case <-r.gone:
			return 0, os.ErrClosed
		default:
		}
		n, ended, change := r.q.take(p)
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case ended:
			return 0, io.EOF
		}
		select {
		case <-change:
		case <-r.gone:
		}
	}
}

package execs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

var errConnClosed = errors.New("the connection was closed")

// conn is one exec call as a connection: the request's body and the
// response's. Unlike those it may be closed at any time by anybody.
type conn struct {
	body io.ReadCloser
	r    *bufio.Reader
	w    http.ResponseWriter
	ctl  *http.ResponseController

	mu      sync.Mutex
	closed  bool
	over    bool // the handler has returned; w must not be touched
	writing bool
}

func newConn(w http.ResponseWriter, r *http.Request) *conn {
	return &conn{body: r.Body, r: bufio.NewReaderSize(r.Body, 1<<10), w: w, ctl: http.NewResponseController(w)}
}

// readLine reads a line of at most maxLine bytes.
func (c *conn) readLine(maxLine int) ([]byte, error) {
	var line []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		line = append(line, part...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (c *conn) reply(r wire.ExecReply) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding an exec reply: %w", err)
	}
	_, err = c.Write(append(line, '\n'))
	return err
}

func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write writes and flushes.
func (c *conn) Write(p []byte) (int, error) {
	if !c.setWriting(true) {
		return 0, errConnClosed
	}
	n, err := c.w.Write(p)
	if err == nil {
		err = c.ctl.Flush()
	}
	c.setWriting(false)
	return n, err
}

func (c *conn) setWriting(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = on
	return !c.closed
}

// Close ends pending and later reads and writes.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.over {
		return nil
	}
	c.closed = true
	err := c.body.Close()
	if c.writing { // stuck, maybe: this resets the stream
		err = errors.Join(err, c.ctl.SetWriteDeadline(time.Unix(1, 0)))
	}
	return err
}

// done is called when the handler returns.
func (c *conn) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

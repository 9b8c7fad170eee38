package session

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

// Conn is one call of the agent as a connection: the request's body and the
// response's. Unlike those it may be closed at any time by anybody.
type Conn struct {
	body io.ReadCloser
	r    *bufio.Reader
	w    http.ResponseWriter
	ctl  *http.ResponseController

	mu      sync.Mutex
	closed  bool
	over    bool // the handler has returned; w must not be touched
	writing bool
}

// NewConn makes it in a handler, which calls Done when it returns.
func NewConn(w http.ResponseWriter, r *http.Request) *Conn {
	return &Conn{body: r.Body, r: bufio.NewReaderSize(r.Body, 1<<10), w: w, ctl: http.NewResponseController(w)}
}

// ReadLine reads a line of at most maxLine bytes.
func (c *Conn) ReadLine(maxLine int) ([]byte, error) {
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

// Reply answers the call: frames follow, or nothing does.
func (c *Conn) Reply(r wire.ExecReply) error {
	line, err := ReplyLine(r)
	if err != nil {
		return err
	}
	_, err = c.Write(line)
	return err
}

// ReplyLine is an answer as it is sent.
func ReplyLine(r wire.ExecReply) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding a reply: %w", err)
	}
	return append(line, '\n'), nil
}

// Read reads the frames.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write writes and flushes.
func (c *Conn) Write(p []byte) (int, error) {
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

func (c *Conn) setWriting(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = on
	return !c.closed
}

// Close ends pending and later reads and writes.
func (c *Conn) Close() error {
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

// Done is called when the handler returns.
func (c *Conn) Done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

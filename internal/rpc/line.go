package rpc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// MaxRequest is the longest line that a server reads.
	MaxRequest = 1 << 20
	// MaxReply is the longest line that a client reads from its daemon, which
	// it trusts: a list of thousands of VMs is longer than a request.
	MaxReply = 64 << 20

	readBuffer   = 4 << 10  // where lines are short
	replyBuffer  = 64 << 10 // where they may be long
	writeTimeout = 30 * time.Second
)

// ErrTooLong is what a line beyond the bound ends in. The rest of the line is
// still in the connection, so nothing more can be read from it.
var ErrTooLong = errors.New("the line is too long")

// LineConn is a connection read and written by lines. One goroutine may read;
// any may write.
type LineConn struct {
	net.Conn
	r    *bufio.Reader
	max  int
	back []byte // a line that was put back

	wmu sync.Mutex // makes lines whole; held for one write, which is bounded in time
}

// NewLineConn reads lines of at most maxLine bytes from conn.
func NewLineConn(conn net.Conn, maxLine int) *LineConn {
	size := readBuffer
	if maxLine > MaxRequest {
		size = replyBuffer
	}
	return &LineConn{Conn: conn, r: bufio.NewReaderSize(conn, size), max: maxLine}
}

// ReadLine returns the next line without its end; empty lines are skipped.
// The line is the caller's to keep.
func (c *LineConn) ReadLine() ([]byte, error) {
	if c.back != nil {
		line := c.back
		c.back = nil
		return line, nil
	}
	for {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

func (c *LineConn) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(line)+len(bytes.TrimSuffix(part, []byte("\n"))) > c.max {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, c.max)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// UnreadLine puts a line back for the next ReadLine.
func (c *LineConn) UnreadLine(line []byte) { c.back = line }

// WriteLine writes a line; msg holds no newline. A peer that reads nothing for
// half a minute has lost the connection.
func (c *LineConn) WriteLine(msg []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	line := make([]byte, 0, len(msg)+1)
	line = append(append(line, msg...), '\n')
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := c.Conn.Write(line); err != nil {
		return err
	}
	// It fails where the connection has been closed since: the line is written
	// all the same, and may have been answered.
	_ = c.SetWriteDeadline(time.Time{})
	return nil
}

// Read reads raw bytes, those already buffered first: what follows the lines
// of a stream.
func (c *LineConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// TakeBuffered returns what came in along with the last line.
func (c *LineConn) TakeBuffered() []byte {
	b, _ := c.r.Peek(c.r.Buffered()) // of what is there, which cannot fail
	b = bytes.Clone(b)
	_, _ = c.r.Discard(len(b))
	return b
}

// CloseWrite ends this side's writing where the connection can.
func (c *LineConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

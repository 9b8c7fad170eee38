package execs

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// lastBytes is what may be in a pipe or terminal whose command has ended.
const lastBytes = 64 << 10

// output reads what a command writes. When the command has ended it takes what
// is there and does not wait long for what others, who hold the pipe, may write.
type output struct {
	file *os.File

	mu    sync.Mutex
	ended bool
	grace time.Duration
	left  int
}

// Read reads from the command; its end, and a terminal's hang-up, are io.EOF.
func (o *output) Read(p []byte) (int, error) {
	p, err := o.limit(p)
	if err != nil {
		return 0, err
	}
	n, err := o.file.Read(p)
	o.mu.Lock()
	o.left -= n
	o.mu.Unlock()
	if errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

func (o *output) limit(p []byte) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		return p, nil
	}
	if o.left <= 0 {
		return nil, io.EOF
	}
	return p[:min(len(p), o.left)], o.file.SetReadDeadline(time.Now().Add(o.grace))
}

// end says that the command has ended.
func (o *output) end(grace time.Duration) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended, o.grace, o.left = true, grace, lastBytes
	// For a read that waits already; a file that is closed needs none.
	_ = o.file.SetReadDeadline(time.Now().Add(grace))
}

// close gives the pipe up; that it was closed before is no error.
func (o *output) close() { _ = o.file.Close() }

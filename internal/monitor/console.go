package monitor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// The console is kept in two files of at most half of maxConsole each.
const (
	consoleName = "console.log"
	maxConsole  = 2 << 20
	tailBytes   = 4 << 10
)

// console keeps what the guest writes on its serial port, bounded.
type console struct {
	path string
	mu   sync.Mutex // guards the following; held across writes of the file, which is the leaf here
	file *os.File
	size int64
	// begin is the number of bytes that went to files before this one.
	begin int64
}

func openConsole(dir string) (*console, error) {
	c := &console{path: filepath.Join(dir, consoleName)}
	if err := c.open(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *console) open() error {
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the console's file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	c.file, c.size = f, info.Size()
	return nil
}

// Write appends, and drops the older half when the bound is reached.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+int64(len(p)) > maxConsole/2 {
		if err := c.rotateLocked(); err != nil {
			return 0, err
		}
	}
	n, err := c.file.Write(p)
	c.size += int64(n)
	return n, err
}

// rotate begins a new file, so that a boot's words are not taken for the next one's.
func (c *console) rotate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size == 0 {
		return nil
	}
	return c.rotateLocked()
}

func (c *console) rotateLocked() error {
	c.begin += c.size
	return errors.Join(os.Rename(c.path, c.path+".1"), c.file.Close(), c.open())
}

// copyFrom takes all of a console to its end. A full disk must not stop the
// guest at its serial port: what cannot be written is dropped.
func (c *console) copyFrom(r io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = c.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// mark returns the position of the next byte, for tail.
func (c *console) mark() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begin + c.size
}

// tail returns the last lines, at most tailBytes, of what came after mark.
func (c *console) tail(mark int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := max(c.begin+c.size-tailBytes, mark, 0)
	var older []byte
	if from < c.begin { // it was rotated since
		older = lastBytes(c.path+".1", c.begin-from)
	}
	buf := make([]byte, c.begin+c.size-max(from, c.begin))
	n, err := c.file.ReadAt(buf, max(from-c.begin, 0))
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrClosed) {
		return ""
	}
	text := strings.ReplaceAll(string(older)+string(buf[:n]), "\r", "")
	if _, after, ok := strings.Cut(text, "\n"); ok && from > mark {
		text = after // the first line is cut
	}
	return strings.TrimSpace(text)
}

// lastBytes reads the end of a file; what cannot be read is not there.
func lastBytes(path string, n int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	buf := make([]byte, min(n, info.Size()))
	if _, err := f.ReadAt(buf, info.Size()-int64(len(buf))); err != nil {
		return nil
	}
	return buf
}

func (c *console) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Close()
}

package machine

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// consoleKept is what is kept of a console at least, and half of what is kept
// at most; tailLines is what is shown.
const (
	consoleKept = 256 << 10
	tailLines   = 400
)

// console keeps the end of what a host prints.
type console struct {
	mu  sync.Mutex
	buf []byte
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, p...)
	if over := len(c.buf) - consoleKept; over > consoleKept { // seldom: it copies all
		c.buf = append(c.buf[:0], c.buf[over:]...)
	}
	return len(p), nil
}

// tail is the last lines, without control characters.
func (c *console) tail() string {
	c.mu.Lock()
	text := bytes.Clone(c.buf)
	c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == utf8.RuneError || r == 0x7f {
			return -1
		}
		return r
	}, strings.Join(lines, "\n"))
}

package hostexec

import (
	"bytes"
	"io"
	"strings"
	"unicode"
)

// head keeps the first max bytes and accepts the rest unseen, so that the
// program never sees a broken pipe.
type head struct {
	buf  []byte
	max  int
	more bool
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.max-len(h.buf))
	h.buf = append(h.buf, p[:n]...)
	h.more = h.more || n < len(p)
	return len(p), nil
}

// tail keeps the last max bytes and passes all on.
type tail struct {
	buf  []byte
	max  int
	next io.Writer
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	if t.next != nil {
		return t.next.Write(p)
	}
	return len(p), nil
}

// lastLine is the last line with something on it, made printable and short.
func (t *tail) lastLine() string { return LastLine(t.buf) }

// LastLine is the last line of a program's output that has something on it,
// with control characters dropped, at most 300 bytes.
func LastLine(out []byte) string {
	lines := bytes.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, string(lines[i])))
		if len(line) > 300 {
			line = strings.ToValidUTF8(line[:300], "") + "…"
		}
		if line != "" {
			return line
		}
	}
	return ""
}

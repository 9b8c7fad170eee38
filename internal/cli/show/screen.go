package show

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// Screen passes on what a guest says, in whatever pieces it comes, harmless for
// a terminal as Safe makes it: but lines and tabs stay, and colours, which a
// boot is full of, are left out.
type Screen struct {
	w    io.Writer
	rest []byte // the beginning of a character or colour
}

// NewScreen makes a Screen that writes to w.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

func (s *Screen) Write(p []byte) (int, error) {
	in := append(s.rest, p...)
	out, rest := escape(make([]byte, 0, len(in)+len(in)/8), in, false)
	s.rest = append([]byte(nil), rest...)
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on what may have been the beginning of something.
func (s *Screen) Flush() error {
	out, _ := escape(nil, s.rest, true)
	s.rest = nil
	_, err := s.w.Write(out)
	return err
}

// maxColor is the length of the longest sequence that is taken for a colour.
const maxColor = 40

// escape appends p to dst, up to a rest that more may belong to unless that is
// all there is.
func escape(dst, p []byte, all bool) (_, rest []byte) {
	for len(p) > 0 {
		switch {
		case p[0] == '\n' || p[0] == '\t':
			dst, p = append(dst, p[0]), p[1:]
			continue
		case p[0] == '\r' && returns(p) == len(p) && !all, p[0] == 0x1b && len(p) <= maxColor && !all && isColor(p) == 0, !utf8.FullRune(p) && !all:
			return dst, p
		case p[0] == '\r' && returns(p) < len(p) && p[returns(p)] == '\n':
			p = p[returns(p):]
			continue
		case p[0] == 0x1b && isColor(p) > 0:
			p = p[isColor(p):]
			continue
		}
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, p[0])
		case unicode.IsPrint(r):
			dst = append(dst, p[:n]...)
		case r < utf8.RuneSelf:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		p = p[n:]
	}
	return dst, nil
}

// returns is the number of carriage returns that p begins with; of more than
// eight the end of a line is not made.
func returns(p []byte) int {
	n := 0
	for n < len(p) && n < 8 && p[n] == '\r' {
		n++
	}
	return n
}

// isColor is the length of the colour that p begins with, 0 where p may be the
// beginning of one, -1 where it is none.
func isColor(p []byte) int {
	if len(p) == 1 {
		return 0
	}
	if p[1] != '[' {
		return -1
	}
	args := p[2:]
	n := len(args) - len(bytes.TrimLeft(args, "0123456789;:"))
	switch {
	case n+3 > maxColor:
		return -1
	case n == len(args):
		return 0
	case args[n] == 'm':
		return n + 3
	}
	return -1
}

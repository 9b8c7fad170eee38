package network

import (
	"errors"
	"io"
	"testing"
)

// twoWay is a link that has one frame to read.
type twoWay struct {
	frame []byte
	err   error
}

func (*twoWay) MTU() int     { return 1500 }
func (*twoWay) Close() error { return nil }

func (l *twoWay) ReadFrame(buf []byte) (int, error) {
	if l.frame == nil {
		return 0, io.EOF
	}
	n := copy(buf, l.frame)
	l.frame = nil
	return n, nil
}

func (l *twoWay) WriteFrames([][]byte) error { return l.err }

// What one link carried and what the next does is one sum; what failed is none.
func TestCount(t *testing.T) {
	var c Count
	buf := make([]byte, MaxFrame)
	for range 2 {
		l := &twoWay{frame: make([]byte, 60)}
		counted := c.Link(l)
		if n, err := counted.ReadFrame(buf); n != 60 || err != nil || counted.MTU() != 1500 {
			t.Fatal(n, err)
		}
		if _, err := counted.ReadFrame(buf); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if err := counted.WriteFrames([][]byte{make([]byte, 100), make([]byte, 42)}); err != nil {
			t.Error(err)
		}
		l.err = io.ErrClosedPipe
		if err := counted.WriteFrames([][]byte{make([]byte, 100)}); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
	if got, want := c.Traffic(), (Traffic{SentBytes: 120, SentFrames: 2, ReceivedBytes: 284, ReceivedFrames: 4}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

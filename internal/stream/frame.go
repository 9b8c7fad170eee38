package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type is what a frame is.
type Type uint8

// The types of frames.
const (
	Data Type = iota + 1
	EOF
	Ack
	Resize
	Signal
	Exit
	Stop
)

// ID names a stream.
type ID uint8

// The streams.
const (
	Control ID = iota
	Stdin
	Stdout
	Stderr
	Result
	streams = 5
)

// Frame is one frame.
type Frame struct {
	Type    Type
	Stream  ID
	Offset  uint64
	Payload []byte
}

// AppendFrame appends the frame's bytes to dst.
func AppendFrame(dst []byte, f Frame) []byte {
	return append(appendHeader(dst, f.Type, f.Stream, len(f.Payload), f.Offset), f.Payload...)
}

func appendHeader(dst []byte, t Type, id ID, n int, off uint64) []byte {
	dst = append(dst, byte(t), byte(id), 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	return binary.BigEndian.AppendUint64(dst, off)
}

// Reader reads frames.
type Reader struct {
	r    *bufio.Reader
	head [headerSize]byte
	buf  []byte
}

// NewReader reads frames from r, which it may read ahead.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 4<<10)} }

// Next returns the next frame; its payload is valid until the call after. The
// end of the connection between two frames is io.EOF.
func (r *Reader) Next() (Frame, error) {
	if _, err := io.ReadFull(r.r, r.head[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{
		Type: Type(r.head[0]), Stream: ID(r.head[1]),
		Offset: binary.BigEndian.Uint64(r.head[8:]),
	}
	n := binary.BigEndian.Uint32(r.head[4:])
	if r.head[2] != 0 || r.head[3] != 0 || !f.plausible(n) {
		return Frame{}, fmt.Errorf("%w: an impossible frame (type %d, stream %d, %d bytes)",
			ErrProtocol, f.Type, f.Stream, n)
	}
	if n == 0 {
		return f, nil
	}
	if int(n) > len(r.buf) {
		// Doubled, so that an interactive stream keeps a small buffer.
		r.buf = make([]byte, min(max(int(n), 2*len(r.buf), 512), maxPayload))
	}
	f.Payload = r.buf[:n]
	if _, err := io.ReadFull(r.r, f.Payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}

// plausible reports whether there can be such a frame with n bytes of payload.
func (f Frame) plausible(n uint32) bool {
	bytes := f.Stream == Stdin || f.Stream == Stdout || f.Stream == Stderr
	switch f.Type {
	case Data:
		return bytes && n > 0 && n <= maxPayload && f.Offset+uint64(n) > f.Offset
	case EOF, Stop:
		return bytes && n == 0
	case Ack:
		return f.Stream <= Result && n == 0
	case Resize:
		return f.Stream == Control && n == 4
	case Signal:
		return f.Stream == Control && n == 1
	case Exit:
		return f.Stream == Result && n <= maxExit
	}
	return false
}

package qemu

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/banger-vm/banger/internal/network"
)

// Link opens the wire at the guest's card.
func (m *machine) Link(ctx context.Context) (network.Link, error) {
	conn, err := m.open(ctx, fileLink, &m.link)
	if err != nil {
		return nil, err
	}
	return newLink(conn), nil
}

// lenFrame is the length of a frame's length, in bytes.
const lenFrame = 4

// minFrame is the shortest frame, which is nothing but a header.
const minFrame = 14

// link carries frames as -netdev stream has them: each after its length.
type link struct {
	net.Conn
	in  *bufio.Reader
	out net.Buffers // of the one who writes
}

func newLink(conn net.Conn) *link {
	return &link{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// MTU is what the guest was told with its card.
func (l *link) MTU() int { return cardMTU }

// ReadFrame reads the next frame. A length that no frame has ends the link:
// QEMU may have been within a frame when the last link ended, and begins a
// whole one on the next.
func (l *link) ReadFrame(buf []byte) (int, error) {
	var head [lenFrame]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < minFrame || int64(n) > int64(len(buf)) {
		return 0, fmt.Errorf("QEMU sends a frame of %d bytes", n)
	}
	return io.ReadFull(l.in, buf[:n])
}

// WriteFrames sends frames with one system call, if there are not too many.
func (l *link) WriteFrames(frames [][]byte) error {
	heads := make([]byte, lenFrame*len(frames))
	l.out = l.out[:0]
	for i, f := range frames {
		head := heads[i*lenFrame : (i+1)*lenFrame]
		binary.BigEndian.PutUint32(head, uint32(len(f)))
		l.out = append(l.out, head, f)
	}
	rest := l.out
	_, err := rest.WriteTo(l.Conn)
	return err
}

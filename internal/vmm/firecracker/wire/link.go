package wire

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/network"
)

// lenHeader is the length of the card's header before each frame, in bytes.
const lenHeader = 10

// Link carries frames over a wire, of which it holds a copy.
type Link struct {
	file *os.File
	raw  syscall.RawConn
	head [lenHeader]byte // of the one who reads; what it says does not matter
}

var _ network.Link = (*Link)(nil)

// NewLink makes a link. The wire stays the caller's.
func NewLink(wire *os.File) (*Link, error) {
	held, err := wire.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, failed := -1, error(nil)
	if err := held.Control(func(p uintptr) { fd, failed = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, fmt.Errorf("copying the wire: %w", failed)
	}
	l := &Link{file: os.NewFile(uintptr(fd), "link")}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

// MTU is Ethernet's: Firecracker tells its guest no other. What the guest sends
// may be longer.
func (l *Link) MTU() int { return 1500 }

// ReadFrame reads the next frame. It asks not to wait each time: the VMM shares
// the socket, and could make it one that waits.
func (l *Link) ReadFrame(buf []byte) (n int, err error) {
	for {
		var flags int
		rerr := l.raw.Read(func(fd uintptr) bool {
			n, _, flags, _, err = unix.RecvmsgBuffers(int(fd), [][]byte{l.head[:], buf}, nil, unix.MSG_DONTWAIT)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		switch {
		case rerr != nil:
			return 0, rerr
		case err != nil:
			return 0, fmt.Errorf("reading from the wire: %w", err)
		case n > lenHeader && flags&unix.MSG_TRUNC == 0:
			return n - lenHeader, nil
		}
	}
}

// WriteFrames sends frames. What the card has no room for is lost, as on any
// wire.
func (l *Link) WriteFrames(frames [][]byte) error {
	var none [lenHeader]byte
	for _, f := range frames {
		var err error
		werr := l.raw.Write(func(fd uintptr) bool {
			_, err = unix.SendmsgBuffers(int(fd), [][]byte{none[:], f}, nil, nil, unix.MSG_DONTWAIT)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		switch {
		case werr != nil:
			return werr
		case err != nil && err != unix.ENOBUFS:
			return fmt.Errorf("writing to the wire: %w", err)
		}
	}
	return nil
}

// Close ends the link; the wire stays.
func (l *Link) Close() error { return l.file.Close() }

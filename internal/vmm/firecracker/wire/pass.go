package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Pair makes the two ends of a connection over which a wire is passed.
func Pair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a connection for the wire: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(pair[0]), unix.Close(pair[1]))
	}
	return os.NewFile(uintptr(pair[0]), "wire, ours"), os.NewFile(uintptr(pair[1]), "wire, theirs"), nil
}

// Pass sends the wire over the descriptor to, and takes that one's place, so
// that the program which this process becomes holds it.
func Pass(wire *os.File, to int) error {
	if err := unix.Sendmsg(to, []byte{0}, unix.UnixRights(int(wire.Fd())), nil, 0); err != nil {
		return fmt.Errorf("passing the wire on: %w", err)
	}
	if err := unix.Dup3(int(wire.Fd()), to, 0); err != nil {
		return fmt.Errorf("keeping the wire: %w", err)
	}
	return nil
}

// errNotPassed says that the other end went away without passing a wire.
var errNotPassed = errors.New("the VMM's enclosure passed no wire")

// Receive waits for the wire that is passed.
func Receive(ctx context.Context, from *os.File) (*os.File, error) {
	defer context.AfterFunc(ctx, func() { from.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := from.SyscallConn()
	if err != nil {
		return nil, err
	}
	var oobn int
	var failed error
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	err = raw.Read(func(fd uintptr) bool {
		_, oobn, _, _, failed = unix.Recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return failed != unix.EAGAIN
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("waiting for the wire: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errNotPassed, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errNotPassed, err)
	}
	return checked(fds[0])
}

// Of takes the wire that a process holds as its descriptor held. Whoever is
// that process's user may, unless it is confined: a monitor does it first.
func Of(pidfd *os.File, held int) (*os.File, error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, failed := -1, error(nil)
	if err := raw.Control(func(p uintptr) { fd, failed = unix.PidfdGetfd(int(p), held, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, fmt.Errorf("taking the wire over: %w", failed)
	}
	return checked(fd)
}

// checked makes a file of what came from a VMM, which may be hostile by now.
func checked(fd int) (*os.File, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err == nil && domain != unix.AF_PACKET {
		err = fmt.Errorf("it is a socket of family %d", domain)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("what the VMM holds is no wire: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "wire"), nil
}

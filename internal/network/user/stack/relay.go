package stack

import (
	"bytes"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// relay joins a connection of the guest's with one of this host's. How one of
// them ends, in order or not, the other one does too.
type relay struct {
	ep     tcpip.Endpoint
	events *waiter.Queue
	far    *net.TCPConn
}

// buffers are held only while there is something in them: a connection that
// says nothing costs none.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// run returns when both directions have ended.
func (r *relay) run() {
	var back sync.WaitGroup
	back.Go(func() {
		if r.toGuest() != nil {
			r.reset()
		}
	})
	if r.fromGuest() != nil {
		r.reset()
	}
	back.Wait()
	r.ep.Close()
}

// reset breaks both connections off.
func (r *relay) reset() {
	_ = r.far.SetLinger(0) // one that is closed has been reset
	_ = r.far.Close()
	r.ep.Abort()
}

// fromGuest passes on what the guest sends, to its end.
func (r *relay) fromGuest() error {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	r.events.EventRegister(&entry)
	defer r.events.EventUnregister(&entry)
	for {
		buf := buffers.Get().(*[64 << 10]byte)
		w := tcpip.SliceWriter(buf[:])
		res, terr := r.ep.Read(&w, tcpip.ReadOptions{})
		var err error
		if terr == nil {
			_, err = r.far.Write(buf[:res.Count])
		}
		buffers.Put(buf)
		switch terr.(type) {
		case nil:
			if err != nil {
				return err
			}
		case *tcpip.ErrWouldBlock:
			<-ready
		case *tcpip.ErrClosedForReceive:
			if tcp.EndpointState(r.ep.State()) == tcp.StateError { // it was reset just now
				return problem(terr)
			}
			return r.far.CloseWrite()
		default:
			return problem(terr)
		}
	}
}

// toGuest passes on what the far end sends, to its end.
func (r *relay) toGuest() error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	r.events.EventRegister(&entry)
	defer r.events.EventUnregister(&entry)
	raw, err := r.far.SyscallConn()
	if err != nil {
		return err
	}
	for {
		buf, n, err := await(raw)
		if err == nil && n > 0 {
			err = r.write(buf[:n], ready)
		}
		if buf != nil {
			buffers.Put(buf)
		}
		switch {
		case err != nil:
			return err
		case n == 0:
			if terr := r.ep.Shutdown(tcpip.ShutdownWrite); terr != nil {
				return problem(terr)
			}
			return nil
		}
	}
}

// write sends all of b to the guest.
func (r *relay) write(b []byte, ready <-chan struct{}) error {
	rest := bytes.NewReader(b)
	for rest.Len() > 0 {
		_, terr := r.ep.Write(rest, tcpip.WriteOptions{})
		switch terr.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-ready
		default:
			return problem(terr)
		}
	}
	return nil
}

// await waits until there is something to read, and only then takes a buffer
// for it; the caller gives it back. 0 bytes are the end.
func await(raw syscall.RawConn) (buf *[64 << 10]byte, n int, err error) {
	rerr := raw.Read(func(fd uintptr) bool {
		buf = buffers.Get().(*[64 << 10]byte)
		for {
			n, err = unix.Read(int(fd), buf[:])
			if err != unix.EINTR {
				break
			}
		}
		if err != unix.EAGAIN {
			return true
		}
		buffers.Put(buf)
		buf = nil
		return false
	})
	if rerr != nil {
		return buf, 0, rerr
	}
	return buf, max(n, 0), err
}

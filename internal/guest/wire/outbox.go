package wire

import (
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

// outboxSize bounds what is not on the port yet.
const outboxSize = 64 << 10

// lastWords is how long a connection that is closed may take for what was
// written to it before.
const lastWords = 20 * time.Millisecond

// outbox gathers small writes. Each write to the port leaves the machine and
// wakes the host, which costs a guest more than all else in a short answer; and
// HTTP/2 flushes an answer's headers before its handler can add the body.
type outbox struct {
	port io.Writer

	mu      sync.Mutex
	room    sync.Cond
	pending []byte
	spare   []byte
	writing bool // a goroutine empties the outbox, and has the port
	closed  bool
	err     error
}

func (o *outbox) init(port io.Writer) {
	o.port = port
	o.room.L = &o.mu
}

// write returns when the outbox has taken p, or when it cannot be written.
func (o *outbox) write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for done := 0; ; {
		switch {
		case o.closed:
			return done, net.ErrClosed
		case o.err != nil:
			return done, o.err
		}
		n := min(len(p)-done, outboxSize-len(o.pending))
		o.pending = append(o.pending, p[done:done+n]...)
		done += n
		if !o.writing && len(o.pending) > 0 {
			o.writing = true
			go o.empty()
		}
		if done == len(p) {
			return done, nil
		}
		o.room.Wait()
	}
}

// empty writes until there is nothing left, and lets those who may add
// something run first.
func (o *outbox) empty() {
	runtime.Gosched()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pending) > 0 && o.err == nil {
		p := o.pending
		o.pending, o.spare = o.spare[:0], nil
		o.mu.Unlock()
		_, err := o.port.Write(p)
		o.mu.Lock()
		o.spare = p
		if err != nil {
			o.err = err
		}
		o.room.Broadcast()
	}
	o.writing = false
	o.room.Broadcast()
}

// flush waits until all is written, but not long: the host may read nothing.
func (o *outbox) flush(most time.Duration) {
	over := false
	timer := time.AfterFunc(most, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		over = true
		o.room.Broadcast()
	})
	defer timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing && !over {
		o.room.Wait()
	}
}

// close drops what is left and returns when nobody writes to the port any
// more. The caller has made a write that waits end.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.pending = true, nil
	o.room.Broadcast()
	for o.writing {
		o.room.Wait()
	}
}

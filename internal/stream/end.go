package stream

import (
	"errors"
	"io"
	"sync"
	"time"
)

// How long an agent holds back what nobody waits for, a greeting and the ends of
// the outputs, for what mostly comes at once, the exit: each write wakes the host,
// and the guest too.
const (
	lingerGreeting = 100 * time.Millisecond
	lingerEnds     = 20 * time.Millisecond
)

// batch is how many bytes of frames go into one write.
const batch = 64 << 10

// Hooks are what an agent does about frames that are no bytes. They are called
// one after another, in order, and should not block.
type Hooks struct {
	Signal func(n int)
	Resize func(rows, cols uint16)
}

// End is one end of an exec's streams. It lives as long as the exec does and
// serves one connection after another.
type End struct {
	hooks  Hooks
	agent  bool
	wake   chan struct{} // something may be sent
	exited chan struct{} // closed when a client has got Exit

	mu       sync.Mutex // guards all below and the streams; never held over I/O
	err      error      // why the end is closed
	out      [streams]*Sender
	in       [streams]*Receiver
	prepared bool
	greeting []byte // agent: what this connection begins with
	brief    bool   // agent: the client does not wait for it

	seq     uint64    // of the last control frame made or taken
	seqDue  bool      // agent: an Ack of it is due
	pending []control // client: not acknowledged

	exit     []byte // set on the agent, received on the client
	hasExit  bool
	exitSent bool // on this connection
	finish   bool // client: confirm the exit, then end
	finished bool // the exit is confirmed
}

type control struct {
	frame Frame
	sent  bool // on this connection
}

// NewClient makes a client's end.
func NewClient() *End {
	e := &End{wake: make(chan struct{}, 1), exited: make(chan struct{})}
	e.addSender(Stdin)
	e.addReceiver(Stdout)
	e.addReceiver(Stderr)
	return e
}

// NewAgent makes an agent's end.
func NewAgent(hooks Hooks) *End {
	e := &End{wake: make(chan struct{}, 1), hooks: hooks, agent: true}
	e.addReceiver(Stdin)
	e.addSender(Stdout)
	e.addSender(Stderr)
	return e
}

func (e *End) addSender(id ID) {
	s := &Sender{end: e, id: id}
	s.room.L = &e.mu
	e.out[id] = s
}

func (e *End) addReceiver(id ID) {
	r := &Receiver{end: e, id: id}
	r.data.L = &e.mu
	e.in[id] = r
}

// Sender returns a stream that this end writes.
func (e *End) Sender(id ID) *Sender { return e.out[id] }

// Receiver returns a stream that this end reads.
func (e *End) Receiver(id ID) *Receiver { return e.in[id] }

// Prepare begins a new connection and appends the frames that may go out at
// once: those that a client sends along with its request. Serve prepares by
// itself where this was not called.
func (e *End) Prepare(dst []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin()
	dst, _ = e.collect(dst)
	e.prepared = true
	return dst
}

// Greet makes an agent's next connection begin with p, ahead of all frames;
// brief says that the client has nothing to send after it.
func (e *End) Greet(p []byte, brief bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.greeting, e.brief = p, brief
}

func (e *End) begin() {
	e.exitSent = false
	for i := range e.pending {
		e.pending[i].sent = false
	}
	for id := range e.out {
		if s := e.out[id]; s != nil {
			s.begin()
		}
		if r := e.in[id]; r != nil {
			r.begin()
		}
	}
}

// Serve carries the streams over conn, one connection at a time, until it
// breaks, the peer breaks a rule, the end is closed, or the exit is confirmed
// (nil). It closes conn, which must end its pending reads and writes.
func (e *End) Serve(conn io.ReadWriteCloser) error {
	e.mu.Lock()
	if !e.prepared {
		e.begin()
	}
	e.prepared = false
	e.mu.Unlock()
	broken := make(chan error, 1)
	go func() {
		err := e.read(conn)
		conn.Close() // a write may hang; that it is closed twice is no error
		broken <- err
	}()
	err := e.write(conn, broken)
	conn.Close()
	if readErr := <-broken; errors.Is(readErr, ErrProtocol) {
		return readErr // the better reason
	}
	return err
}

// write sends what there is to send until an error or the exec's end. It puts
// the reader's result back.
func (e *End) write(conn io.Writer, broken chan error) error {
	var buf []byte
	for {
		if err := e.awaitMore(broken); err != nil {
			return err
		}
		var done bool
		e.mu.Lock()
		buf, done = e.collect(buf[:0])
		err := e.err
		e.mu.Unlock()
		if err != nil {
			return err
		}
		if len(buf) > 0 {
			if _, err := conn.Write(buf); err != nil {
				return err
			}
		}
		if done {
			e.mu.Lock()
			e.finished = true
			e.mu.Unlock()
			return nil
		}
		if len(buf) > 0 {
			continue
		}
		select {
		case <-e.wake:
		case err := <-broken:
			broken <- err
			return err
		}
	}
}

// awaitMore waits a moment for the exit, or for output, where there is nothing to
// send that anybody waits for. It puts the reader's result back.
func (e *End) awaitMore(broken chan error) error {
	began, limit := time.Now(), (*time.Timer)(nil)
	for {
		most := e.mayLinger()
		if most == 0 {
			return nil
		}
		if limit == nil {
			limit = time.NewTimer(most)
			defer limit.Stop()
		} else {
			limit.Reset(max(0, most-time.Since(began)))
		}
		select {
		case <-e.wake:
		case <-limit.C:
			return nil
		case err := <-broken:
			broken <- err
			return err
		}
	}
}

// mayLinger is how long what is to be sent may wait: 0 unless all of it is a
// greeting that the client does not wait for, or ends of outputs.
func (e *End) mayLinger() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	greets := len(e.greeting) > 0
	if !e.agent || e.hasExit || e.err != nil || e.in[Stdin].due || e.seqDue || greets && !e.brief {
		return 0
	}
	ends := false
	for _, s := range e.out {
		if s == nil {
			continue
		}
		if s.ring.end != s.next {
			return 0
		}
		ends = ends || s.eof && !s.eofSent
	}
	switch {
	case ends:
		return lingerEnds
	case greets:
		return lingerGreeting
	}
	return 0
}

// collect appends the frames to send next, fairly among the streams; done
// says that nothing follows them. Called with e.mu held.
func (e *End) collect(dst []byte) (_ []byte, done bool) {
	dst, e.greeting = append(dst, e.greeting...), nil
	for _, r := range e.in {
		if r != nil {
			dst = r.take(dst)
		}
	}
	dst = e.takeControl(dst)
	for more := true; more && len(dst) < batch; {
		more = false
		for _, s := range e.out {
			if s == nil {
				continue
			}
			var took bool
			dst, took = s.take(dst)
			more = more || took
		}
	}
	return e.takeExit(dst)
}

func (e *End) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Close ends the end: blocked readers and writers get err (ErrClosed if nil)
// and a connection being served ends.
func (e *End) Close(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return
	}
	if e.err = err; err == nil {
		e.err = ErrClosed
	}
	for id := range e.out {
		if s := e.out[id]; s != nil {
			s.room.Broadcast()
		}
		if r := e.in[id]; r != nil {
			r.data.Broadcast()
		}
	}
	e.kick()
}

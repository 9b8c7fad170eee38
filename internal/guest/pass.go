package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/stream"
)

const (
	// passBuffer takes all that an end may have under way, with room for the
	// frames that carry no data, so that a client which reads nothing leaves
	// no byte in the windows that all streams share.
	passBuffer = 2*stream.MaxBuffered + 64<<10
	// passLinger is how long an agent has to end a stream that its client left.
	passLinger = 5 * time.Second

	smallChunk, bigChunk = 2 << 10, 32 << 10
)

// errFlood is an end that sends more than it was given credit for.
var errFlood = errors.New("more than its stream's window")

// Pass copies between a client and an agent's stream, both ways and unread,
// until both have ended or ctx has. It closes both. What comes is read at once,
// so the end of either is noticed whatever the other does.
func Pass(ctx context.Context, client, agent io.ReadWriteCloser) error {
	closeBoth := sync.OnceValue(func() error { return errors.Join(client.Close(), agent.Close()) })
	defer context.AfterFunc(ctx, func() { closeBoth() })()
	linger := sync.OnceValue(func() *time.Timer {
		return time.AfterFunc(passLinger, func() { agent.Close() })
	})
	in, out := newQueue(passBuffer), newQueue(passBuffer)
	var wg sync.WaitGroup
	var fromAgent, toAgent error
	wg.Go(func() { fromAgent = fill(out, agent) })
	wg.Go(func() {
		if out.drainTo(client) == nil {
			client.Close() // all is written: ends the other direction's read
		}
	})
	wg.Go(func() {
		// An error is the agent's end: its own direction tells why.
		if in.drainTo(agent) == nil {
			toAgent = closeWrite(agent)
		}
		linger()
	})
	fromClient := fill(in, client)
	linger() // also for an agent that takes nothing
	wg.Wait()
	linger().Stop()
	closeBoth() // mostly closed by now
	if fromAgent != nil {
		fromAgent = fmt.Errorf("from the guest: %w", fromAgent)
	}
	if !errors.Is(fromClient, errFlood) {
		fromClient = nil // the client has left, however it did
	}
	return errors.Join(fromAgent, fromClient, toAgent)
}

func closeWrite(w io.Writer) error {
	if w, ok := w.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// fill reads all of one end into the queue.
func fill(q *queue, from io.ReadCloser) error {
	defer q.close()
	buf := make([]byte, smallChunk)
	for {
		n, err := from.Read(buf)
		if !q.put(buf[:n]) {
			return errors.Join(fmt.Errorf("%w of %d bytes", errFlood, q.limit), from.Close())
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == len(buf) && n < bigChunk {
			buf = make([]byte, bigChunk)
		}
	}
}

// queue is a bounded buffer whose writer never waits.
type queue struct {
	limit int

	mu     sync.Mutex
	more   sync.Cond
	data   []byte
	taken  int // being written out
	closed bool
	failed bool // nobody takes what comes
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.more.L = &q.mu
	return q
}

// put adds p; false where that is more than the queue may hold.
func (q *queue) put(p []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed || len(p) == 0 {
		return true
	}
	if len(q.data)+q.taken+len(p) > q.limit {
		return false
	}
	q.data = append(q.data, p...)
	q.more.Signal()
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Signal()
}

// drainTo writes what comes to w until the queue is closed and empty. After an
// error what comes is dropped.
func (q *queue) drainTo(w io.Writer) error {
	var spare []byte
	for {
		chunk, ok := q.take(spare)
		if !ok {
			return nil
		}
		if _, err := w.Write(chunk); err != nil {
			q.mu.Lock()
			q.failed, q.data, q.taken = true, nil, 0
			q.mu.Unlock()
			return err
		}
		if spare = chunk[:0]; cap(spare) > bigChunk {
			spare = nil // a burst is over; an idle stream holds little
		}
	}
}

// take waits for data and leaves spare in its place.
func (q *queue) take(spare []byte) ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken = 0
	for len(q.data) == 0 {
		if q.closed {
			return nil, false
		}
		q.more.Wait()
	}
	chunk := q.data
	q.data, q.taken = spare, len(chunk)
	return chunk, true
}

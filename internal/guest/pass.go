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
	// passBuffer takes all that an agent may have under way, with room for the
	// frames that carry no data, so that a client which reads nothing leaves
	// no byte in the windows that all streams share.
	passBuffer = 2*stream.MaxBuffered + 64<<10
	// passLinger is how long an agent has to end a stream that its client left.
	passLinger = 5 * time.Second

	smallChunk, bigChunk = 2 << 10, 32 << 10
)

// errFlood is a guest that sends more than it was given credit for.
var errFlood = errors.New("the guest sent more than its stream's window")

// Pass copies between a client and an agent's stream, both ways and unread,
// until both have ended or ctx has. It closes both.
func Pass(ctx context.Context, client, agent io.ReadWriteCloser) error {
	closeBoth := sync.OnceValue(func() error { return errors.Join(client.Close(), agent.Close()) })
	defer context.AfterFunc(ctx, func() { closeBoth() })()

	q := newQueue(passBuffer)
	var wg sync.WaitGroup
	var fromAgent error
	wg.Go(func() { fromAgent = fill(q, agent) })
	wg.Go(func() {
		if q.drainTo(client) == nil {
			client.Close() // all is written: ends the other direction's read
		}
	})
	err := copyInput(agent, client)
	linger := time.AfterFunc(passLinger, func() { agent.Close() })
	if w, ok := agent.(interface{ CloseWrite() error }); ok && err == nil {
		err = w.CloseWrite()
	}
	wg.Wait()
	linger.Stop()
	closeBoth() // mostly closed by now
	return errors.Join(fromAgent, err)
}

// fill reads all of the agent's stream into the queue.
func fill(q *queue, agent io.ReadWriteCloser) error {
	buf := make([]byte, smallChunk)
	for {
		n, err := agent.Read(buf)
		if !q.put(buf[:n]) {
			q.close()
			return errors.Join(fmt.Errorf("%w: %d bytes", errFlood, passBuffer), agent.Close())
		}
		if err != nil {
			q.close()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		if n == len(buf) && n < bigChunk {
			buf = make([]byte, bigChunk)
		}
	}
}

// copyInput passes a client's bytes to the agent until the client ends.
func copyInput(agent io.Writer, client io.Reader) error {
	buf := make([]byte, smallChunk)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			if _, err := agent.Write(buf[:n]); err != nil {
				return nil // the agent has ended: its own direction tells why
			}
		}
		if err != nil {
			return nil // the client has left, however it did
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

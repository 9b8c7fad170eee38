package stream

import (
	"fmt"
	"io"
	"sync"
)

// Receiver is the reading end of one stream. It delivers each byte once, over
// any number of connections.
type Receiver struct {
	end  *End
	id   ID
	data sync.Cond

	// Guarded by end.mu.
	ring    ring // what was not consumed: ring.start is consumed, ring.end received
	eof     bool // nothing comes after ring.end
	stopped bool // this side reads no more
	told    bool // Stop was sent on this connection
	acked   uint64
	frames  int  // received since the last Ack
	due     bool // an Ack is due
}

// Read returns the next bytes of the stream, io.EOF at its end.
func (r *Receiver) Read(p []byte) (int, error) {
	part, err := r.wait()
	if err != nil {
		return 0, err
	}
	n := copy(p, part)
	r.consume(n)
	return n, nil
}

// WriteTo writes the stream to w, straight from the buffer, until its end.
func (r *Receiver) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		part, err := r.wait()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(part)
		total += int64(n)
		r.consume(n)
		if err != nil {
			return total, err
		}
	}
}

// Stop tells the peer that nobody reads this stream any more.
func (r *Receiver) Stop() {
	r.end.mu.Lock()
	defer r.end.mu.Unlock()
	r.stopped = true
	r.ring.reset(r.ring.end)
	r.ring.buf = nil
	r.data.Broadcast()
	r.end.kick()
}

// Offset is the number of bytes received, consumed or not: where the peer is
// to go on.
func (r *Receiver) Offset() uint64 {
	r.end.mu.Lock()
	defer r.end.mu.Unlock()
	return r.ring.end
}

// Skip goes on at off, which is not before Offset: the bytes between are lost
// at the peer. It waits until what was received is consumed. No connection may
// be served meanwhile.
func (r *Receiver) Skip(off uint64) error {
	r.end.mu.Lock()
	defer r.end.mu.Unlock()
	have := r.ring.end
	if off == have {
		return nil
	}
	if off < have || r.eof {
		return fmt.Errorf("%w: it goes on at byte %d of stream %d, which is here up to %d", ErrProtocol, off, r.id, have)
	}
	for r.ring.len() > 0 {
		if r.end.err != nil {
			return r.end.err
		}
		r.data.Wait()
	}
	r.ring.reset(off)
	r.acked = off
	return nil
}

// wait returns what can be read now.
func (r *Receiver) wait() ([]byte, error) {
	r.end.mu.Lock()
	defer r.end.mu.Unlock()
	for {
		switch {
		case r.stopped:
			return nil, ErrStopped
		case r.ring.len() > 0:
			return r.ring.at(r.ring.start), nil
		case r.eof:
			return nil, io.EOF
		case r.end.err != nil:
			return nil, r.end.err
		}
		r.data.Wait()
	}
}

func (r *Receiver) consume(n int) {
	r.end.mu.Lock()
	defer r.end.mu.Unlock()
	if r.stopped {
		return
	}
	r.ring.start += uint64(n)
	r.ackIfDue()
}

func (r *Receiver) ackIfDue() {
	drained := r.ring.len() == 0
	if drained {
		r.data.Broadcast() // Skip may wait for it
	}
	if r.ring.start-r.acked >= Window/2 || drained && r.frames >= maxFrames/4 {
		r.due = true
		r.end.kick()
	}
}

// begin prepares for a new connection: its peer may have missed the last Ack.
func (r *Receiver) begin() {
	r.due, r.told, r.frames = r.ring.start > 0, false, 0
}

// take appends the frames that this stream owes its peer.
func (r *Receiver) take(dst []byte) []byte {
	if r.stopped && !r.told && !r.eof {
		r.told = true
		dst = AppendFrame(dst, Frame{Type: Stop, Stream: r.id})
	}
	if r.due {
		r.due, r.acked, r.frames = false, r.ring.start, 0
		dst = AppendFrame(dst, Frame{Type: Ack, Stream: r.id, Offset: r.acked})
	}
	return dst
}

// deliver takes a Data or EOF frame over.
func (r *Receiver) deliver(f Frame) error {
	have := r.ring.end
	end := f.Offset + uint64(len(f.Payload))
	switch {
	case f.Offset > have:
		return fmt.Errorf("%w: bytes %d to %d of stream %d left out", ErrProtocol, have, f.Offset, r.id)
	case r.eof && end > have, f.Type == EOF && end != have:
		return fmt.Errorf("%w: two ends of stream %d", ErrProtocol, r.id)
	case f.Type == EOF:
		r.eof = true
		r.data.Broadcast()
		return nil
	case end <= have: // a replay
		return nil
	}
	r.frames++
	if r.stopped { // it was under way
		r.ring.reset(end)
		r.ackIfDue()
		return nil
	}
	if p := f.Payload[have-f.Offset:]; r.ring.put(p) < len(p) {
		return fmt.Errorf("%w: more than %d bytes of stream %d unacknowledged", ErrProtocol, Window, r.id)
	}
	r.data.Signal()
	return nil
}

package stream

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Sender is the writing end of one stream. It keeps what the peer has not
// acknowledged, over any number of connections.
type Sender struct {
	end  *End
	id   ID
	room sync.Cond

	// Guarded by end.mu.
	ring    ring   // what is not acknowledged: ring.start is the last Ack
	next    uint64 // the first byte that this connection has not carried
	eof     bool   // the writer is done
	eofSent bool   // on this connection
	stopped bool   // the peer reads no more
	mark    uint64 // maxFrames/2 frames at most were sent before it and not acknowledged,
	frames  int    // and so many after it
}

// Write buffers p for the peer and blocks while there are Window bytes that it
// has not acknowledged.
func (s *Sender) Write(p []byte) (int, error) {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	for done := 0; ; {
		if err := s.err(); err != nil {
			return done, err
		}
		done += s.ring.put(p[done:])
		s.end.kick()
		if done == len(p) {
			return done, nil
		}
		s.room.Wait()
	}
}

// ReadFrom sends all of r, read straight into the buffer, until r ends. It
// does not send EOF.
func (s *Sender) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		space, err := s.reserve()
		if err != nil {
			return total, err
		}
		n, err := r.Read(space)
		total += int64(n)
		s.commit(n, n == len(space))
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// reserve waits for space to read into.
func (s *Sender) reserve() ([]byte, error) {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	for {
		if err := s.err(); err != nil {
			return nil, err
		}
		if space := s.ring.room(); len(space) > 0 {
			return space, nil
		}
		s.room.Wait()
	}
}

// commit adds the n bytes that were read into the space; full says that the
// source has more than the buffer takes at once.
func (s *Sender) commit(n int, full bool) {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	if n == 0 || s.stopped {
		return
	}
	s.ring.end += uint64(n)
	if full && len(s.ring.buf) < Window {
		s.ring.grow()
	}
	s.end.kick()
}

// Close ends the stream: EOF follows the last byte.
func (s *Sender) Close() error {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	s.eof = true
	s.room.Broadcast()
	s.end.kick()
	return nil
}

// Offset is the number of bytes written so far.
func (s *Sender) Offset() uint64 {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	return s.ring.end
}

// Resume makes the next connection go on at the peer's offset, or at the
// oldest byte that is still there, and returns which. No connection may be
// served meanwhile.
func (s *Sender) Resume(off uint64) (uint64, error) {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	if off > s.ring.end {
		return 0, fmt.Errorf("%w: it has %d bytes of a stream of %d", ErrProtocol, off, s.ring.end)
	}
	s.next = max(off, s.ring.start)
	return s.next, nil
}

// Restart makes the stream an empty one that goes on at off: for what is kept
// elsewhere. Nothing may be written or served meanwhile.
func (s *Sender) Restart(off uint64) {
	s.end.mu.Lock()
	defer s.end.mu.Unlock()
	s.ring.reset(off)
	s.next, s.eof = off, false
}

func (s *Sender) err() error {
	switch {
	case s.end.err != nil:
		return s.end.err
	case s.stopped:
		return ErrStopped
	case s.eof:
		return ErrClosed
	}
	return nil
}

// begin prepares for a new connection.
func (s *Sender) begin() {
	s.eofSent, s.mark, s.frames = false, s.next, 0
}

// take appends the next frame to dst, if one may be sent.
func (s *Sender) take(dst []byte) ([]byte, bool) {
	n := min(int(s.ring.end-s.next), maxPayload)
	if n == 0 {
		if !s.eof || s.eofSent {
			return dst, false
		}
		s.eofSent = true
		return AppendFrame(dst, Frame{Type: EOF, Stream: s.id, Offset: s.ring.end}), true
	}
	if s.frames == maxFrames/2 {
		if s.ring.start < s.mark {
			return dst, false
		}
		s.mark, s.frames = s.next, 0
	}
	dst = appendHeader(dst, Data, s.id, n, s.next)
	dst = s.ring.copyTo(dst, s.next, n)
	s.next += uint64(n)
	s.frames++
	return dst, true
}

// done reports whether this connection has carried everything.
func (s *Sender) done() bool { return s.eof && s.eofSent }

// acked takes an Ack over.
func (s *Sender) acked(off uint64) error {
	if off > s.next {
		return fmt.Errorf("%w: byte %d of stream %d acknowledged, %d sent", ErrProtocol, off, s.id, s.next)
	}
	if off > s.ring.start {
		s.ring.start = off
		s.room.Broadcast()
	}
	return nil
}

// stop drops what there is; the writer learns of it.
func (s *Sender) stop() {
	if s.stopped {
		return
	}
	s.stopped, s.eof, s.eofSent = true, true, false
	s.ring.reset(s.next)
	s.ring.buf = nil
	s.room.Broadcast()
}

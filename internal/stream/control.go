package stream

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Signal sends a signal's number to the command.
func (e *End) Signal(n int) error {
	if n < 1 || n > 64 {
		return fmt.Errorf("there is no signal %d", n)
	}
	return e.control(Frame{Type: Signal, Payload: []byte{byte(n)}})
}

// Resize tells the command's terminal its size. Only the last size is kept for
// a peer that is away.
func (e *End) Resize(rows, cols uint16) error {
	p := binary.BigEndian.AppendUint16(nil, rows)
	return e.control(Frame{Type: Resize, Payload: binary.BigEndian.AppendUint16(p, cols)})
}

func (e *End) control(f Frame) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	if f.Type == Resize {
		kept := e.pending[:0]
		for _, c := range e.pending {
			if c.frame.Type != Resize {
				kept = append(kept, c)
			}
		}
		e.pending = kept
	}
	if len(e.pending) >= maxControl {
		return fmt.Errorf("%d signals wait for the command already", maxControl)
	}
	e.seq++
	f.Offset = e.seq
	e.pending = append(e.pending, control{frame: f})
	e.kick()
	return nil
}

// ControlSeq is the sequence number of the last signal or resize.
func (e *End) ControlSeq() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seq
}

// ResumeControl goes on after the agent's last sequence number. On a client's
// first connection what it has made so far comes after that number.
func (e *End) ResumeControl(seq uint64, first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !first {
		e.confirmControl(seq)
		return
	}
	for i := range e.pending {
		seq++
		e.pending[i].frame.Offset = seq
	}
	e.seq = seq
}

func (e *End) confirmControl(seq uint64) {
	for len(e.pending) > 0 && e.pending[0].frame.Offset <= seq {
		e.pending = e.pending[1:]
	}
}

func (e *End) takeControl(dst []byte) []byte {
	if e.seqDue {
		e.seqDue = false
		dst = AppendFrame(dst, Frame{Type: Ack, Stream: Control, Offset: e.seq})
	}
	for i := range e.pending {
		if c := &e.pending[i]; !c.sent {
			c.sent = true
			dst = AppendFrame(dst, c.frame)
		}
	}
	return dst
}

// SetExit is how the command ended; it is sent after all output, whose streams
// are to be closed.
func (e *End) SetExit(payload []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.exit, e.hasExit = payload, true
	e.kick()
}

// Exited is closed when a client's end has got the exit.
func (e *End) Exited() <-chan struct{} { return e.exited }

// Exit is how the command ended, once it has.
func (e *End) Exit() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.exit
}

// Finish confirms the exit; then the connection ends.
func (e *End) Finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finish = true
	e.kick()
}

// Finished reports whether the exit is confirmed.
func (e *End) Finished() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.finished
}

func (e *End) takeExit(dst []byte) (_ []byte, done bool) {
	switch {
	case !e.hasExit:
	case !e.agent:
		if e.finish {
			return AppendFrame(dst, Frame{Type: Ack, Stream: Result, Offset: 1}), true
		}
	case !e.exitSent && e.out[Stdout].done() && e.out[Stderr].done():
		e.exitSent = true
		dst = AppendFrame(dst, Frame{Type: Exit, Stream: Result, Payload: e.exit})
	}
	return dst, false
}

// read takes frames over until the connection breaks or the exit is confirmed.
func (e *End) read(conn io.Reader) error {
	for r := NewReader(conn); ; {
		f, err := r.Next()
		if err != nil {
			return err
		}
		hook, err := e.take(f)
		if err != nil {
			return err
		}
		if hook != nil {
			hook()
		}
		if e.agent && f.Type == Ack && f.Stream == Result {
			return nil
		}
	}
}

// take acts upon a frame and returns what is to be called with no lock held.
func (e *End) take(f Frame) (func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch f.Type {
	case Data, EOF:
		if r := e.in[f.Stream]; r != nil {
			return nil, r.deliver(f)
		}
	case Stop:
		if s := e.out[f.Stream]; s != nil {
			s.stop()
			e.kick()
			return nil, nil
		}
	case Ack:
		return nil, e.acked(f)
	case Signal, Resize:
		if e.agent {
			return e.controlled(f), nil
		}
	case Exit:
		if !e.agent && e.in[Stdout].eof && e.in[Stderr].eof {
			if !e.hasExit {
				e.exit, e.hasExit = append([]byte(nil), f.Payload...), true
				close(e.exited)
			}
			return nil, nil
		}
	}
	return nil, misplaced(f)
}

func misplaced(f Frame) error {
	return fmt.Errorf("%w: a frame of type %d on stream %d from this side or at this time", ErrProtocol, f.Type, f.Stream)
}

func (e *End) acked(f Frame) error {
	switch {
	case e.out[f.Stream] != nil:
		err := e.out[f.Stream].acked(f.Offset)
		e.kick() // a sender may have waited for it
		return err
	case f.Stream == Control && !e.agent && f.Offset <= e.seq:
		e.confirmControl(f.Offset)
		return nil
	case f.Stream == Result && e.agent && e.exitSent && f.Offset == 1:
		e.finished = true
		return nil
	}
	return misplaced(f)
}

func (e *End) controlled(f Frame) func() {
	e.seqDue = true
	e.kick()
	if f.Offset <= e.seq { // a replay
		return nil
	}
	e.seq = f.Offset
	if f.Type == Signal {
		n := int(f.Payload[0])
		return func() { e.hooks.Signal(n) }
	}
	rows, cols := binary.BigEndian.Uint16(f.Payload), binary.BigEndian.Uint16(f.Payload[2:])
	return func() { e.hooks.Resize(rows, cols) }
}

package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/console"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/stream"
)

// maxReplay bounds what comes first of what was said before, in bytes.
const maxReplay = 256 << 10

// maxInput is more than anybody types.
const maxInput = 1 << 60

// errDropped says that a client was too slow for the files: it is to attach
// again, and learns of the gap by a greater offset.
var errDropped = errors.New("the console's oldest bytes were dropped before they were read")

// Seat is one client's place at the line, for one connection.
type Seat struct {
	line *Line
	end  *stream.End
	from int64
}

// Sit makes a place, and the reply that says where it begins.
func (l *Line) Sit(req api.ConsoleAttachRequest) (*Seat, api.ExecAttached, error) {
	if req.StdinOffset > maxInput || req.StdoutOffset > maxInput {
		return nil, api.ExecAttached{}, fault.New(fault.Invalid, "", "the offset of a console cannot be so large")
	}
	kept, err := console.Open(l.dir)
	if err != nil {
		return nil, api.ExecAttached{}, err
	}
	defer kept.Close()
	from := min(max(int64(req.StdoutOffset), kept.Begin()), kept.End())
	if req.Replay != nil {
		from = max(kept.End()-int64(min(*req.Replay, maxReplay)), kept.Begin())
		if from < kept.End() {
			if from, err = kept.LineStart(from); err != nil {
				return nil, api.ExecAttached{}, err
			}
		}
	}
	end := stream.NewAgent(stream.Hooks{Signal: func(int) {}, Resize: func(_, _ uint16) {}}) // a serial line has neither
	if err := end.Receiver(stream.Stdin).Skip(req.StdinOffset); err != nil {
		return nil, api.ExecAttached{}, err
	}
	end.Sender(stream.Stdout).Restart(uint64(from))
	ok := api.ExecAttached{StdinOffset: req.StdinOffset, StdoutOffset: uint64(from), Window: stream.Window, Frames: stream.Version}
	return &Seat{line: l, end: end, from: from}, ok, end.Sender(stream.Stderr).Close()
}

// Serve serves the client until it leaves, ctx ends, or the guest is gone and
// all it said is read. It closes conn.
func (s *Seat) Serve(ctx context.Context, conn io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var parts sync.WaitGroup
	parts.Go(func() {
		_, err := s.end.Receiver(stream.Stdin).WriteTo(keyboard{ctx, s.line})
		if err != nil { // the client has left
			s.end.Receiver(stream.Stdin).Stop()
		}
	})
	parts.Go(func() {
		if err := s.watch(ctx); err != nil {
			cancel(err)
		}
	})
	err := s.end.Serve(conn)
	s.end.Close(err)
	cancel(err)
	parts.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errDropped) {
		return cause
	}
	return err
}

// watch passes on what the guest says.
func (s *Seat) watch(ctx context.Context) error {
	for off := s.from; ; {
		end, changed := s.line.kept.End()
		if off < end {
			n, err := s.pass(off)
			if err != nil {
				return err
			}
			off += n
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.line.over:
			if last, _ := s.line.kept.End(); off == last {
				return s.finish()
			}
		}
	}
}

// pass passes on all that is kept from off on.
func (s *Seat) pass(off int64) (int64, error) {
	kept, err := console.Open(s.line.dir)
	if err != nil {
		return 0, err
	}
	defer kept.Close()
	if off < kept.Begin() {
		return 0, errDropped
	}
	return s.end.Sender(stream.Stdout).ReadFrom(io.NewSectionReader(kept, off, kept.End()-off))
}

func (s *Seat) finish() error {
	payload, err := json.Marshal(api.ExecExit{})
	if err != nil {
		return fmt.Errorf("encoding a console's end: %w", err)
	}
	err = s.end.Sender(stream.Stdout).Close()
	s.end.SetExit(payload)
	return err
}

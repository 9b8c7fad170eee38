package execs

import (
	"errors"
	"sync"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/stream"
)

// attach serves a client until its connection ends. It takes the place of the
// client before it.
func (x *execution) attach(c *session.Conn, req api.ExecAttachRequest) {
	if x.spec.Detached {
		<-x.ready // its output is in files that start makes
	}
	done := false
	err := x.session.Attach(c, func() error {
		err := x.serve(c, req)
		done = x.end.Finished() && !x.spec.Detached
		return err
	})
	switch {
	case done:
		x.server.remove(x)
		return
	case x.spec.Detached:
		x.server.prune()
	}
	x.server.log.Debug("an exec's connection ended", "exec", x.id, "err", err)
}

func (x *execution) serve(c *session.Conn, req api.ExecAttachRequest) error {
	ok, err := x.offsets(req)
	if err != nil {
		fail := invalid("Start a new command.", "the client has more output than the command has made")
		return errors.Join(err, c.Reply(wire.ExecReply{Error: fail}))
	}
	var pumps sync.WaitGroup
	quit := make(chan struct{})
	if x.spec.Detached {
		x.end.Sender(stream.Stdout).Restart(ok.StdoutOffset)
		x.end.Sender(stream.Stderr).Restart(ok.StderrOffset)
		pumps.Go(func() { x.pump(c, stream.Stdout, ok.StdoutOffset, quit) })
		pumps.Go(func() { x.pump(c, stream.Stderr, ok.StderrOffset, quit) })
	}
	line, err := session.ReplyLine(wire.ExecReply{OK: &ok})
	if err == nil {
		x.end.Greet(line, req.Brief && !x.spec.Detached)
		err = x.end.Serve(c)
	}
	close(quit)
	if x.spec.Detached {
		// An ended sender ends its pump; the next client restarts it.
		err = errors.Join(err, x.end.Sender(stream.Stdout).Close(), x.end.Sender(stream.Stderr).Close())
	}
	pumps.Wait()
	return err
}

// offsets decides where the streams go on.
func (x *execution) offsets(req api.ExecAttachRequest) (wire.ExecOK, error) {
	ok := wire.ExecOK{ID: x.id, Window: stream.Window, Frames: stream.Version}
	at := func(id stream.ID, off uint64) (uint64, error) {
		if x.spec.Detached {
			return x.logs[id].resume(off)
		}
		return x.end.Sender(id).Resume(off)
	}
	var err1, err2 error
	ok.StdoutOffset, err1 = at(stream.Stdout, req.StdoutOffset)
	ok.StderrOffset, err2 = at(stream.Stderr, req.StderrOffset)
	ok.StdinOffset = x.end.Receiver(stream.Stdin).Offset()
	ok.ControlSeq = x.end.ControlSeq()
	return ok, errors.Join(err1, err2)
}

// pump sends a detached command's kept output from off on. Where the oldest was
// dropped under it, the client is to attach again, and learns of the gap.
func (x *execution) pump(c *session.Conn, id stream.ID, off uint64, quit <-chan struct{}) {
	out := x.end.Sender(id)
	buf := make([]byte, 16<<10)
	for {
		n, err := x.logs[id].read(buf, off, quit)
		off += uint64(n)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return
			}
			continue
		}
		switch {
		case errors.Is(err, errLogEnd):
			out.Close() // marks the stream's end, which cannot fail
			return
		case errors.Is(err, errLogQuit):
			return
		default:
			x.server.log.Warn("a detached command's output cannot be sent on", "exec", x.id, "err", err)
			c.Close() // the client attaches again
			return
		}
	}
}

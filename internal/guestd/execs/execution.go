package execs

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/stream"
)

// execution is one command, from its start until its result is forgotten.
type execution struct {
	server  *Server
	id      string
	spec    api.ExecSpec
	end     *stream.End
	session *session.Session
	ready   chan struct{} // closed when it was started, or could not be

	// Set before ready is closed.
	proc *process
	logs map[stream.ID]*outputLog // of a detached one

	mu      sync.Mutex
	endedAt time.Time
	hungUp  bool
}

func newExecution(s *Server, id string, spec api.ExecSpec) *execution {
	x := &execution{server: s, id: id, spec: spec, ready: make(chan struct{})}
	x.end = stream.NewAgent(stream.Hooks{Signal: x.signal, Resize: x.resize})
	x.session = session.New(x.end, s.cfg.OrphanAfter, x.abandoned)
	return x
}

// start runs the command and sees to it until its end; what fails is the exit.
func (x *execution) start(p *plan) {
	err := x.openLogs()
	exit := api.ExecExit{Code: 125}
	if err == nil {
		x.proc, exit.Code, err = x.server.run(p)
	}
	if err != nil {
		exit.Error = err.Error()
		x.end.Receiver(stream.Stdin).Stop()
		for id := range x.outputs() {
			x.closeOutput(id)
		}
		x.finish(exit)
		close(x.ready)
		return
	}
	go x.feed()
	drained := make(chan struct{})
	var open atomic.Int32
	open.Store(int32(len(x.outputs())))
	for id, f := range x.outputs() {
		go func() {
			if f != nil {
				x.drain(id, f)
			}
			x.closeOutput(id)
			if open.Add(-1) == 0 {
				close(drained)
			}
		}()
	}
	close(x.ready)
	x.supervise(drained) // here, where a stack has grown: each new one costs
}

func (x *execution) openLogs() error {
	if !x.spec.Detached {
		return nil
	}
	cfg := x.server.cfg
	x.logs = map[stream.ID]*outputLog{}
	for id := range x.outputs() {
		log, err := newOutputLog(cfg.LogDir, cfg.LogSize)
		if err != nil {
			for _, made := range x.logs {
				err = errors.Join(err, made.close())
			}
			x.logs = map[stream.ID]*outputLog{stream.Stdout: noLog(), stream.Stderr: noLog()}
			return err
		}
		x.logs[id] = log
	}
	return nil
}

// outputs are the streams and where they come from; a terminal has one.
func (x *execution) outputs() map[stream.ID]*output {
	if x.proc == nil {
		return map[stream.ID]*output{stream.Stdout: nil, stream.Stderr: nil}
	}
	return map[stream.ID]*output{stream.Stdout: x.proc.stdout, stream.Stderr: x.proc.stderr}
}

func (x *execution) closeOutput(id stream.ID) {
	if x.spec.Detached {
		x.logs[id].finish()
		return
	}
	x.end.Sender(id).Close() // marks the stream's end, which cannot fail
}

// feed passes stdin on.
func (x *execution) feed() {
	in := x.end.Receiver(stream.Stdin)
	_, err := in.WriteTo(x.proc.stdin)
	if err != nil {
		in.Stop() // the command reads no more, or is gone
	}
	x.proc.endInput(err == nil)
}

// drain passes one output on until it ends, or nobody wants it.
func (x *execution) drain(id stream.ID, from *output) {
	var err error
	if x.spec.Detached {
		_, err = io.Copy(x.logs[id], from)
	} else {
		_, err = x.end.Sender(id).ReadFrom(from)
	}
	if err != nil && !errors.Is(err, stream.ErrStopped) && !errors.Is(err, stream.ErrClosed) {
		x.server.log.Warn("a command's output ended early", "exec", x.id, "err", err)
	}
	// A writer that goes on gets SIGPIPE, or SIGHUP from its terminal. But a
	// command may close its terminal just before it ends by itself.
	if x.proc.tty == nil || err != nil {
		from.close()
	}
}

// supervise waits for the command's end and for the last of its output.
func (x *execution) supervise(drained <-chan struct{}) {
	exit := x.proc.wait()
	grace := x.server.cfg.Grace
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C: // something that it started holds its output
	}
	if !x.spec.Detached {
		x.proc.killAll()
	}
	// What still holds an output now is out of reach, or was left on purpose:
	// take what is in the pipes.
	x.proc.endOutputs(grace)
	<-drained
	x.end.Receiver(stream.Stdin).Stop()
	x.proc.release(x.server.log)
	x.finish(exit)
}

// finish makes the exit known.
func (x *execution) finish(exit api.ExecExit) {
	payload, err := json.Marshal(bounded(exit))
	if err != nil { // it is two numbers and a text
		x.server.log.Error("encoding an exit failed", "exec", x.id, "err", err)
	}
	x.mu.Lock()
	x.endedAt = time.Now()
	hungUp := x.hungUp
	x.mu.Unlock()
	x.end.SetExit(payload)
	switch {
	case hungUp:
		x.server.remove(x)
	case x.spec.Detached:
		time.AfterFunc(x.server.cfg.KeepFor, func() { x.server.remove(x) })
		x.server.prune()
	}
}

// bounded keeps an exit within a frame.
func bounded(exit api.ExecExit) api.ExecExit {
	const most = 512
	if len(exit.Error) > most {
		exit.Error = exit.Error[:most] + "…"
	}
	return exit
}

// abandoned ends what nobody has asked for in a long time.
func (x *execution) abandoned() {
	switch {
	case x.spec.Detached:
	case x.ended():
		x.server.remove(x)
	default:
		x.server.log.Info("hanging up a command that has no client", "exec", x.id)
		x.hangUp()
	}
}

// hangUp ends the command: by SIGHUP first, and all that is left of it for
// good after a while.
func (x *execution) hangUp() {
	x.mu.Lock()
	x.hungUp = true
	ended := !x.endedAt.IsZero()
	x.mu.Unlock()
	if ended {
		x.server.remove(x)
		return
	}
	<-x.ready
	x.end.Close(stream.ErrClosed)
	if x.proc != nil {
		x.proc.hangUp()
	}
}

func (x *execution) ended() bool { return !x.endTime().IsZero() }

func (x *execution) endTime() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.endedAt
}

// dispose frees what the record holds.
func (x *execution) dispose() {
	x.session.Dispose()
	for _, log := range x.logs {
		if err := log.close(); err != nil && !errors.Is(err, os.ErrClosed) {
			x.server.log.Warn("closing a detached command's output failed", "exec", x.id, "err", err)
		}
	}
}

func (x *execution) signal(n int) {
	if <-x.ready; x.proc != nil {
		x.proc.signal(n)
	}
}

func (x *execution) resize(rows, cols uint16) {
	if <-x.ready; x.proc != nil {
		x.proc.resize(rows, cols)
	}
}

package session

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/stream"
)

// Job is what a client begins in the guest: a connection, a copy. It ends by
// the exit of its stream.
type Job interface {
	// Open begins it, or refuses; it is called once, and is not to last longer
	// than the host's call.
	Open() *wire.ExecFail
	// Drop ends it now. It comes after Open only, and may come again.
	Drop()
}

// Request is a client's call: it begins a job or attaches to it again.
type Request struct {
	ID             string
	Begin          func(end *stream.End) Job // nil attaches only
	Stdout, Stderr uint64                    // how many bytes the client has
	OrphanAfter    time.Duration             // shorter than that of the Config; else that counts
}

// Config says what a Service serves.
type Config struct {
	What        string        // one of its jobs, in messages
	OrphanAfter time.Duration // without a client a job is dropped
	Max         int           // jobs
	MaxLine     int           // bytes of a request
	// Decode reads a request and checks it, but for its ID.
	Decode func(line []byte) (Request, *wire.ExecFail)
}

// Service keeps jobs by their IDs, each from its beginning until its client
// knows its end, and serves them over HTTP/2.
type Service struct {
	log *slog.Logger
	cfg Config

	mu   sync.Mutex
	jobs map[string]*kept
}

// kept is a job with its stream.
type kept struct {
	id      string
	job     Job
	end     *stream.End
	session *Session
	ready   chan struct{} // closed when it is open, or is refused
	fail    *wire.ExecFail
}

// NewService makes a service without jobs.
func NewService(log *slog.Logger, cfg Config) *Service {
	return &Service{log: log, cfg: cfg, jobs: map[string]*kept{}}
}

// Close drops all jobs.
func (s *Service) Close() {
	s.mu.Lock()
	all := make([]*kept, 0, len(s.jobs))
	for _, k := range s.jobs {
		all = append(all, k)
	}
	s.mu.Unlock()
	for _, k := range all {
		s.remove(k)
	}
}

// Open is the number of jobs.
func (s *Service) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs)
}

// ServeHTTP begins a job or attaches to one.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := NewConn(w, r)
	defer c.Done()
	line, err := c.ReadLine(s.cfg.MaxLine)
	if err != nil {
		s.log.Debug("a request did not arrive", "for", s.cfg.What, "err", err)
		_ = c.Reply(wire.ExecReply{Error: Invalid("", "the request cannot be read: %v", err)}) // its peer is gone or mad
		return
	}
	k, req, fail := s.find(line)
	if fail != nil {
		if err := c.Reply(wire.ExecReply{Error: fail}); err != nil {
			s.log.Debug("a refusal did not arrive", "for", s.cfg.What, "err", err)
		}
		return
	}
	err = k.session.Attach(c, func() error { return k.serve(c, req) })
	s.log.Debug("a call ended", "for", s.cfg.What, "id", k.id, "err", err)
	if k.end.Finished() {
		s.remove(k)
	}
}

// find returns the job that the request names, begun if need be.
func (s *Service) find(line []byte) (*kept, Request, *wire.ExecFail) {
	req, fail := s.cfg.Decode(line)
	if fail == nil && !ValidID(req.ID) {
		fail = Invalid("", "the ID of a %s has %d to %d characters of a-z, 0-9 and -", s.cfg.What, MinID, MaxID)
	}
	if fail != nil {
		return nil, req, fail
	}
	k, isNew, fail := s.add(req)
	if fail != nil {
		return nil, req, fail
	}
	if isNew {
		k.fail = k.job.Open() // a client that reconnects finds it
		close(k.ready)
	}
	if <-k.ready; k.fail != nil {
		s.remove(k)
		return nil, req, k.fail
	}
	return k, req, nil
}

// add makes the record of a new job, or returns the one that there is.
func (s *Service) add(req Request) (k *kept, isNew bool, fail *wire.ExecFail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.jobs[req.ID]; k != nil {
		return k, false, nil
	}
	switch {
	case req.Begin == nil:
		return nil, false, &wire.ExecFail{
			Kind: string(api.KindNotFound), Message: "there is no " + s.cfg.What + " " + req.ID + " in this guest",
			Hint: "It ended, or the guest was restarted since; begin another.",
		}
	case len(s.jobs) >= s.cfg.Max:
		return nil, false, &wire.ExecFail{
			Kind: string(api.KindBusy), Message: fmt.Sprintf("this guest has %d times a %s already", len(s.jobs), s.cfg.What), Hint: "End some of them first.",
		}
	}
	k = &kept{id: req.ID, ready: make(chan struct{})}
	k.end = stream.NewAgent(stream.Hooks{
		Signal: func(int) { k.drop() },
		Resize: func(uint16, uint16) {},
	})
	k.job = req.Begin(k.end)
	k.session = New(k.end, s.orphanAfter(req), func() { s.remove(k) })
	s.jobs[req.ID] = k
	return k, true, nil
}

// orphanAfter is how long a job may have no client.
func (s *Service) orphanAfter(req Request) time.Duration {
	if asked := req.OrphanAfter; asked > 0 && asked < s.cfg.OrphanAfter {
		return asked
	}
	return s.cfg.OrphanAfter
}

func (s *Service) remove(k *kept) {
	s.mu.Lock()
	if s.jobs[k.id] == k {
		delete(s.jobs, k.id)
	}
	s.mu.Unlock()
	k.drop()
	k.session.Dispose()
}

// drop ends the job now.
func (k *kept) drop() {
	if <-k.ready; k.fail == nil {
		k.job.Drop()
	}
}

// serve serves one call of its client.
func (k *kept) serve(c *Conn, req Request) error {
	ok := wire.ExecOK{ID: k.id, Window: stream.Window, Frames: stream.Version}
	var err error
	for _, out := range []struct {
		id   stream.ID
		has  uint64
		goOn *uint64
	}{{stream.Stdout, req.Stdout, &ok.StdoutOffset}, {stream.Stderr, req.Stderr, &ok.StderrOffset}} {
		if *out.goOn, err = k.end.Sender(out.id).Resume(out.has); err != nil {
			fail := Invalid("Begin another.", "the client has more bytes than have come")
			return errors.Join(err, c.Reply(wire.ExecReply{Error: fail}))
		}
	}
	ok.StdinOffset, ok.ControlSeq = k.end.Receiver(stream.Stdin).Offset(), k.end.ControlSeq()
	if err := c.Reply(wire.ExecReply{OK: &ok}); err != nil {
		return err
	}
	return k.end.Serve(c)
}

// Invalid refuses a request that nobody should make.
func Invalid(hint, format string, args ...any) *wire.ExecFail {
	return &wire.ExecFail{Kind: string(api.KindInvalid), Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Package execs runs commands in the guest for clients outside: each with its
// own user, environment, terminal or pipes and cgroup, over a stream that
// survives its connections.
package execs

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/cgroup"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/guestd/usersession"
)

// Config is what may differ. Zero values take the defaults.
type Config struct {
	User         func() string // the login user's name; default root
	OrphanAfter  time.Duration // without a client a command is hung up: 10 minutes
	Grace        time.Duration // for what outlives its command's end: 250 ms
	MaxExecs     int           // 1,000
	LogDir       string        // of detached commands' output; default os.TempDir
	LogSize      int64         // of one stream: 4 MiB
	KeepDetached int           // finished detached commands: 32
	KeepFor      time.Duration // 24 hours
	CgroupRoot   string        // /sys/fs/cgroup
	Etc          string        // where passwd and group are: /etc
	// Session is a user's login session, which its commands join; nil where
	// there is none yet. Default: there never is one.
	Session func(uid uint32) *usersession.Session
}

func (c Config) withDefaults() Config {
	if c.User == nil {
		c.User = func() string { return "root" }
	}
	if c.Session == nil {
		c.Session = func(uint32) *usersession.Session { return nil }
	}
	orDefault(&c.OrphanAfter, 10*time.Minute)
	orDefault(&c.Grace, 250*time.Millisecond)
	orDefault(&c.MaxExecs, 1000)
	orDefault(&c.LogSize, 4<<20)
	orDefault(&c.KeepDetached, 32)
	orDefault(&c.KeepFor, 24*time.Hour)
	orDefault(&c.CgroupRoot, "/sys/fs/cgroup")
	orDefault(&c.Etc, "/etc")
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Server is the exec service. It serves wire.PathExec over HTTP/2.
type Server struct {
	log     *slog.Logger
	cfg     Config
	logins  *login.Files
	cgroups *cgroup.Pool
	forker  *forker

	mu    sync.Mutex
	execs map[string]*execution
}

// New makes the service.
func New(log *slog.Logger, cfg Config) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		log: log, cfg: cfg,
		logins:  login.New(cfg.Etc),
		cgroups: cgroup.New(cfg.CgroupRoot),
		forker:  newForker(),
		execs:   map[string]*execution{},
	}
}

// Running is the number of commands that run.
func (s *Server) Running() int {
	n := 0
	for _, x := range s.all() {
		if !x.ended() {
			n++
		}
	}
	return n
}

// Close hangs all commands up.
func (s *Server) Close() {
	for _, x := range s.all() {
		x.hangUp()
	}
	if err := s.cgroups.Close(); err != nil {
		s.log.Debug("a cgroup stays", "err", err)
	}
}

func (s *Server) all() []*execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*execution, 0, len(s.execs))
	for _, x := range s.execs {
		all = append(all, x)
	}
	return all
}

// ServeHTTP starts a command or attaches to one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := session.NewConn(w, r)
	defer c.Done()
	line, err := c.ReadLine(wire.MaxExec)
	if err != nil {
		s.log.Debug("an exec request did not arrive", "err", err)
		_ = c.Reply(wire.ExecReply{Error: invalid("", "the request cannot be read: %v", err)}) // its peer is gone or mad
		return
	}
	x, req, fail := s.find(line)
	if fail != nil {
		if err := c.Reply(wire.ExecReply{Error: fail}); err != nil {
			s.log.Debug("an exec's refusal did not arrive", "err", err)
		}
		return
	}
	x.attach(c, req)
}

// find returns the execution that the request names, started if need be.
func (s *Server) find(line []byte) (*execution, api.ExecAttachRequest, *wire.ExecFail) {
	req, fail := decode(line)
	if fail != nil {
		return nil, req, fail
	}
	if x := s.get(req.ID); x != nil {
		return x, req, nil
	}
	if req.Start == nil {
		return nil, req, &wire.ExecFail{
			Kind:    string(api.KindNotFound),
			Message: "there is no command " + req.ID + " in this guest",
			Hint:    "It ended long ago, or the guest was restarted since; start it anew.",
		}
	}
	plan, fail := s.plan(req.Start)
	if fail != nil {
		return nil, req, fail
	}
	x, isNew, fail := s.add(req.ID, *req.Start)
	if isNew {
		go x.start(plan) // while its client hears of it
	}
	return x, req, fail
}

func (s *Server) get(id string) *execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.execs[id]
}

// add makes the record of a new execution, or returns the one that there is.
func (s *Server) add(id string, spec api.ExecSpec) (x *execution, isNew bool, fail *wire.ExecFail) {
	if n := len(s.all()); n >= s.cfg.MaxExecs {
		s.evict(n - s.cfg.MaxExecs + 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.execs[id]; x != nil {
		return x, false, nil
	}
	if len(s.execs) >= s.cfg.MaxExecs {
		return nil, false, &wire.ExecFail{
			Kind: string(api.KindBusy), Message: "too many commands run in this guest",
			Hint: "End some of them first.",
		}
	}
	x = newExecution(s, id, spec)
	s.execs[id] = x
	return x, true, nil
}

func (s *Server) remove(x *execution) {
	s.mu.Lock()
	if s.execs[x.id] == x {
		delete(s.execs, x.id)
	}
	s.mu.Unlock()
	x.dispose()
}

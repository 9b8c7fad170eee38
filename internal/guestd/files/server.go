// Package files puts files into the guest and gets files from it, with the
// rights of a user, over streams that survive their connections.
package files

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/stream"
)

// Config is what may differ. Zero values take the defaults.
type Config struct {
	User        func() string // the login user's name; default root
	OrphanAfter time.Duration // without a client a copy is given up: 2 minutes
	MaxCopies   int           // each way: 64
	Etc         string        // where passwd and group are: /etc
}

// Server is the service.
type Server struct {
	log      *slog.Logger
	cfg      Config
	logins   *login.Files
	put, get *session.Service
}

// New makes the service.
func New(log *slog.Logger, cfg Config) *Server {
	if cfg.User == nil {
		cfg.User = func() string { return "root" }
	}
	if cfg.OrphanAfter == 0 {
		cfg.OrphanAfter = 2 * time.Minute // a client gives up after one
	}
	if cfg.MaxCopies == 0 {
		cfg.MaxCopies = 64
	}
	if cfg.Etc == "" {
		cfg.Etc = "/etc"
	}
	s := &Server{log: log, cfg: cfg, logins: login.New(cfg.Etc)}
	s.put, s.get = s.service(s.decodePut), s.service(s.decodeGet)
	return s
}

func (s *Server) service(decode func([]byte) (session.Request, *wire.ExecFail)) *session.Service {
	return session.NewService(s.log, session.Config{
		What: "copy", OrphanAfter: s.cfg.OrphanAfter, Max: s.cfg.MaxCopies, MaxLine: wire.MaxExec, Decode: decode,
	})
}

// Put serves wire.PathFilesPut over HTTP/2.
func (s *Server) Put() http.Handler { return s.put }

// Get serves wire.PathFilesGet over HTTP/2.
func (s *Server) Get() http.Handler { return s.get }

// Open is the number of copies.
func (s *Server) Open() int { return s.put.Open() + s.get.Open() }

// Close gives all copies up.
func (s *Server) Close() {
	s.put.Close()
	s.get.Close()
}

func (s *Server) decodePut(line []byte) (session.Request, *wire.ExecFail) {
	var req api.FilesPutRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return session.Request{}, session.Invalid("", "the request is no request to put files: %v", err)
	}
	call := session.Request{ID: req.ID, Stderr: req.StderrOffset}
	if req.Start == nil {
		return call, nil
	}
	u, fail := s.check(req.Start.User, req.Start.Path)
	if fail == nil {
		call.Begin = func(end *stream.End) session.Job { return newPut(end, u, *req.Start) }
	}
	return call, fail
}

func (s *Server) decodeGet(line []byte) (session.Request, *wire.ExecFail) {
	var req api.FilesGetRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return session.Request{}, session.Invalid("", "the request is no request to get files: %v", err)
	}
	call := session.Request{ID: req.ID, Stdout: req.StdoutOffset, Stderr: req.StderrOffset}
	if req.Start == nil {
		return call, nil
	}
	u, fail := s.check(req.Start.User, req.Start.Paths...)
	if fail == nil {
		call.Begin = func(end *stream.End) session.Job { return newGet(end, u, *req.Start) }
	}
	return call, fail
}

// check finds the user, and refuses what is no path.
func (s *Server) check(who string, paths ...string) (*login.User, *wire.ExecFail) {
	for _, p := range paths {
		if len(p) >= 4096 || strings.IndexByte(p, 0) >= 0 {
			return nil, session.Invalid("", "%.80q… is no path", p)
		}
	}
	if who == "" {
		if who = s.cfg.User(); who == "" {
			who = "root"
		}
	}
	u, ok := s.logins.Lookup(who)
	if !ok {
		return nil, session.Invalid("Take another with -u, for instance -u root.", "there is no user %.64q in this guest", who)
	}
	return u, nil
}

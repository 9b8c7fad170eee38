// Package dials connects clients outside to addresses in the guest, its
// loopback included, over a stream that survives its connections.
package dials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
)

// Config is what may differ. Zero values take the defaults.
type Config struct {
	OrphanAfter time.Duration // without a client a connection is dropped: 10 minutes
	Timeout     time.Duration // of connecting: 10 s, within that of the host's call
	MaxDials    int           // 1,000
}

// Server is the service. It serves wire.PathDial over HTTP/2.
type Server struct {
	log *slog.Logger
	cfg Config

	mu    sync.Mutex
	dials map[string]*dialled
}

// New makes the service.
func New(log *slog.Logger, cfg Config) *Server {
	if cfg.OrphanAfter == 0 {
		cfg.OrphanAfter = 10 * time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxDials == 0 {
		cfg.MaxDials = 1000
	}
	return &Server{log: log, cfg: cfg, dials: map[string]*dialled{}}
}

// Close drops all connections.
func (s *Server) Close() {
	s.mu.Lock()
	all := make([]*dialled, 0, len(s.dials))
	for _, d := range s.dials {
		all = append(all, d)
	}
	s.mu.Unlock()
	for _, d := range all {
		s.remove(d)
	}
}

// Open is the number of connections.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dials)
}

// ServeHTTP opens a connection or attaches to one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := session.NewConn(w, r)
	defer c.Done()
	line, err := c.ReadLine(wire.MaxLine)
	if err != nil {
		s.log.Debug("a dial request did not arrive", "err", err)
		_ = c.Reply(wire.ExecReply{Error: invalid("", "the request cannot be read: %v", err)}) // its peer is gone or mad
		return
	}
	d, req, fail := s.find(line)
	if fail != nil {
		if err := c.Reply(wire.ExecReply{Error: fail}); err != nil {
			s.log.Debug("a dial's refusal did not arrive", "err", err)
		}
		return
	}
	err = d.session.Attach(c, func() error { return d.serve(c, req) })
	s.log.Debug("a dial's call ended", "dial", d.id, "err", err)
	if d.end.Finished() {
		s.remove(d)
	}
}

// decode reads a request and checks it.
func decode(line []byte) (req api.DialOpenRequest, fail *wire.ExecFail) {
	if err := json.Unmarshal(line, &req); err != nil {
		return req, invalid("", "the request is no dial request: %v", err)
	}
	if !session.ValidID(req.ID) {
		return req, invalid("", "a connection's ID has %d to %d characters of a-z, 0-9 and -", session.MinID, session.MaxID)
	}
	if req.Start != nil {
		fail = check(*req.Start)
	}
	return req, fail
}

// find returns the connection that the request names, opened if need be.
func (s *Server) find(line []byte) (*dialled, api.DialOpenRequest, *wire.ExecFail) {
	req, fail := decode(line)
	if fail != nil {
		return nil, req, fail
	}
	d, isNew, fail := s.add(req)
	if fail != nil {
		return nil, req, fail
	}
	if isNew {
		d.open(*req.Start, s.cfg.Timeout)
	}
	if <-d.ready; d.fail != nil {
		s.remove(d)
		return nil, req, d.fail
	}
	return d, req, nil
}

// add makes the record of a new connection, or returns the one that there is.
func (s *Server) add(req api.DialOpenRequest) (d *dialled, isNew bool, fail *wire.ExecFail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.dials[req.ID]; d != nil {
		return d, false, nil
	}
	switch {
	case req.Start == nil:
		return nil, false, &wire.ExecFail{
			Kind: string(api.KindNotFound), Message: "there is no connection " + req.ID + " in this guest",
			Hint: "It ended, or the guest was restarted since; open another.",
		}
	case len(s.dials) >= s.cfg.MaxDials:
		return nil, false, &wire.ExecFail{
			Kind: string(api.KindBusy), Message: "too many connections are open to this guest", Hint: "Close some of them first.",
		}
	}
	d = newDialled(s, req.ID, s.orphanAfter(req))
	s.dials[req.ID] = d
	return d, true, nil
}

// orphanAfter is how long a connection may have no client.
func (s *Server) orphanAfter(req api.DialOpenRequest) time.Duration {
	if asked := time.Duration(req.OrphanMS) * time.Millisecond; asked > 0 && asked < s.cfg.OrphanAfter {
		return asked
	}
	return s.cfg.OrphanAfter
}

func (s *Server) remove(d *dialled) {
	s.mu.Lock()
	if s.dials[d.id] == d {
		delete(s.dials, d.id)
	}
	s.mu.Unlock()
	d.drop()
	d.session.Dispose()
}

// check refuses what is no address.
func check(spec api.DialSpec) *wire.ExecFail {
	switch spec.Network {
	case "tcp":
		host, port, err := net.SplitHostPort(spec.Address)
		n, numErr := strconv.ParseUint(port, 10, 16)
		if err != nil || numErr != nil || n == 0 || host == "" || len(host) > 255 {
			return invalid("Write it as HOST:PORT, for instance 127.0.0.1:22.", "%.80q is no address", spec.Address)
		}
	case "unix":
		if !filepath.IsAbs(spec.Address) || len(spec.Address) >= len(syscall.RawSockaddrUnix{}.Path) {
			return invalid("Name a Unix socket by its absolute path.", "%.80q is no path of a socket", spec.Address)
		}
	default:
		return invalid("It is tcp or unix.", "there is no network %.40q", spec.Network)
	}
	return nil
}

// refusal says why an address could not be reached.
func refusal(spec api.DialSpec, err error) *wire.ExecFail {
	fail := &wire.ExecFail{Kind: string(api.KindFailedPrecondition)}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		fail.Message, fail.Hint = "nothing listens on "+spec.Address+" in the guest", "Start the service there first."
	case errors.Is(err, fs.ErrNotExist):
		fail.Message, fail.Hint = "there is no socket "+spec.Address+" in the guest", "Start the service there first."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		fail.Message = spec.Address + " does not answer in the guest"
	default:
		fail.Message = fmt.Sprintf("%s cannot be reached in the guest: %v", spec.Address, err)
	}
	return fail
}

func invalid(hint, format string, args ...any) *wire.ExecFail {
	return &wire.ExecFail{Kind: string(api.KindInvalid), Message: fmt.Sprintf(format, args...), Hint: hint}
}

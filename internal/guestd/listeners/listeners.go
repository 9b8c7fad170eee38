// Package listeners tells the host what listens in the guest: once, or as it
// changes.
package listeners

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/sockets"
)

// search bounds the search for the programs.
const search = 3 * time.Second

// Config is what may differ. Zero values take the defaults.
type Config struct {
	Proc, Etc string        // /proc and /etc
	Poll      time.Duration // how often a watch looks: 1 s
}

// Server is the service: wire.PathListeners, and wire.PathListenersWatch.
type Server struct {
	log   *slog.Logger
	cfg   Config
	users *login.Files
}

// New makes the service.
func New(log *slog.Logger, cfg Config) *Server {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.Etc == "" {
		cfg.Etc = "/etc"
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	return &Server{log: log, cfg: cfg, users: login.New(cfg.Etc)}
}

// ServeHTTP tells it once, or as a line whenever it has changed.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == wire.PathListenersWatch {
		s.watch(w, r)
		return
	}
	all, more, err := sockets.List(s.cfg.Proc)
	if err != nil {
		s.fail(w, err)
		return
	}
	if err := json.NewEncoder(w).Encode(s.describe(r.Context(), all, more)); err != nil {
		s.log.Debug("the listeners were not sent", "err", err)
	}
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	s.log.Error("what listens cannot be told", "err", err)
	w.WriteHeader(http.StatusInternalServerError)
	if err := json.NewEncoder(w).Encode(wire.ExecFail{Kind: string(api.KindInternal), Message: err.Error()}); err != nil {
		s.log.Debug("a refusal was not sent", "err", err)
	}
}

// watch looks for changes itself: the kernel tells of none.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	var last []sockets.Socket
	for first := true; ; first = false {
		all, more, err := sockets.List(s.cfg.Proc)
		if err != nil {
			s.log.Error("what listens cannot be watched", "err", err)
			return // the host asks again
		}
		all = slices.DeleteFunc(all, func(l sockets.Socket) bool { return l.Network != "tcp" })
		if first || !slices.EqualFunc(all, last, same) {
			last = slices.Clone(all)
			if errors.Join(enc.Encode(s.describe(r.Context(), all, more)), flush.Flush()) != nil {
				return // the host is gone
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func same(a, b sockets.Socket) bool { return a.Network == b.Network && a.Addr == b.Addr }

// describe finds the programs and their users.
func (s *Server) describe(ctx context.Context, all []sockets.Socket, more bool) wire.Listeners {
	if len(all) > wire.MaxListeners {
		all, more = all[:wire.MaxListeners], true
	}
	bounded, cancel := context.WithTimeout(ctx, search)
	defer cancel()
	sockets.Own(bounded, s.cfg.Proc, all)
	out := wire.Listeners{All: make([]wire.Listening, len(all)), More: more}
	for i, l := range all {
		out.All[i] = wire.Listening{
			Network: l.Network, Address: l.Addr.Addr().String(), Port: int(l.Addr.Port()),
			PID: l.Owner.PID, Process: plain(l.Owner.Name), User: plain(s.user(l.UID)),
		}
	}
	return out
}

func (s *Server) user(uid uint32) string {
	u, ok := s.users.Lookup(strconv.FormatUint(uint64(uid), 10))
	if !ok {
		return ""
	}
	return u.Name
}

// plain makes a name that a program or a file chose fit for the host, which
// refuses others.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name[:min(len(name), wire.MaxName)])
}

// Package rpcserver serves JSON-RPC 2.0 on Unix sockets: plain calls, many at
// once on a connection, and streams, which take a connection over. Who may
// call is decided by the peer's credentials before the first byte is read.
package rpcserver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// Handler answers one call. Its context ends with the connection and with the
// server.
type Handler = func(ctx context.Context, params json.RawMessage) (any, error)

// Stream answers the first call of a connection and keeps the connection,
// which is closed when it returns.
type Stream func(ctx context.Context, params json.RawMessage, conn *StreamConn)

// Config says what a Server does.
type Config struct {
	Methods map[string]Handler
	Streams map[string]Stream
	// MapError turns a handler's error into what the peer sees; nil: rpc.AsAPI.
	MapError func(error) *api.Error
	// Allow decides by the peer's credentials; nil: this process's own user
	// and root.
	Allow func(uid, gid uint32) bool
	// Concurrency is the number of calls at work on one connection, default
	// 512. More wait their turn: waiting calls (op.wait) count too.
	Concurrency int
	// Grace is how long calls and streams under way have to end once the
	// server stops, default 2 s; their contexts are cancelled at once.
	Grace time.Duration
	// Rest is called when nothing has been answered for RestAfter, default 3 s;
	// nil: not.
	Rest      func()
	RestAfter time.Duration
}

// Server serves connections.
type Server struct {
	log *slog.Logger
	cfg Config
	own uint32 // this process's uid

	rest *time.Timer // nil without a Rest

	mu    sync.Mutex // leaf: guards conns
	conns map[*conn]struct{}
}

// New makes a Server.
func New(log *slog.Logger, cfg Config) *Server {
	if cfg.MapError == nil {
		cfg.MapError = rpc.AsAPI
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 512
	}
	if cfg.Grace == 0 {
		cfg.Grace = 2 * time.Second
	}
	if cfg.RestAfter == 0 {
		cfg.RestAfter = 3 * time.Second
	}
	s := &Server{log: log, cfg: cfg, own: uint32(os.Geteuid()), conns: make(map[*conn]struct{})}
	if cfg.Rest != nil {
		s.rest = time.AfterFunc(cfg.RestAfter, cfg.Rest)
	}
	return s
}

// answered puts the next rest off.
func (s *Server) answered() {
	if s.rest != nil {
		s.rest.Reset(s.cfg.RestAfter)
	}
}

// Serve serves the connections that l accepts, until ctx ends; then it closes
// l, cancels what is under way, lets it answer, and returns nil. It closes l
// in any case.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	calls, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	closed := context.AfterFunc(ctx, func() { l.Close() })
	defer closed()
	err := s.accept(ctx, l, func(c *conn) {
		wg.Go(func() {
			defer s.remove(c)
			c.serve(calls)
		})
	})
	stop(errStopping) // told apart from a client that went away
	s.drain()
	if ctx.Err() != nil {
		return nil
	}
	if closeErr := l.Close(); !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

var errStopping = errors.New("the server is stopping")

func (s *Server) accept(ctx context.Context, l net.Listener, serve func(*conn)) error {
	for pause := time.Millisecond; ; {
		nc, err := l.Accept()
		if err == nil {
			pause = time.Millisecond
			serve(s.add(nc))
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, most likely: others may give some back.
		s.log.Warn("accepting a connection failed", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

func (s *Server) add(nc net.Conn) *conn {
	c := &conn{s: s, line: rpc.NewLineConn(nc, rpc.MaxRequest), idle: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return c
}

func (s *Server) remove(c *conn) {
	c.line.Close()
	s.answered()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// drain closes each connection once its calls are answered, or the grace is
// over.
func (s *Server) drain() {
	deadline := time.After(s.cfg.Grace)
	s.mu.Lock()
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	over := false
	for _, c := range open {
		for !over && !c.quiet() {
			select {
			case <-c.idle:
			case <-deadline:
				over = true
			}
		}
		c.line.Close()
	}
}

// call runs a handler; a panic is an error of that call and of nothing else.
func (s *Server) call(ctx context.Context, method string, params json.RawMessage, h Handler) (result any, err error) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
			result, err = nil, api.NewError(api.KindInternal, "the daemon made a mistake while it handled "+method, "Its log has the details: banger daemon logs")
			return
		}
		if err != nil {
			s.log.Debug("call failed", "method", method, "took", time.Since(began), "err", err)
		} else {
			s.log.Debug("call", "method", method, "took", time.Since(began))
		}
	}()
	return h(ctx, params)
}

// apiError is what the peer sees of a handler's error.
func (s *Server) apiError(ctx context.Context, method string, err error) *api.Error {
	e := s.cfg.MapError(err)
	if e.Kind == api.KindCanceled && errors.Is(context.Cause(ctx), errStopping) {
		return api.NewError(api.KindUnavailable, "the daemon is stopping", "")
	}
	if e.Kind == api.KindInternal {
		s.log.Error("call failed", "method", method, "err", err)
	}
	return e
}

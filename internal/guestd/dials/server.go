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
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
	"github.com/banger-vm/banger/internal/stream"
)

// Config is what may differ. Zero values take the defaults.
type Config struct {
	OrphanAfter time.Duration // without a client a connection is dropped: 10 minutes
	Timeout     time.Duration // of connecting: 10 s, within that of the host's call
	MaxDials    int           // 1,000
}

// Server is the service. It serves wire.PathDial over HTTP/2.
type Server struct{ *session.Service }

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
	return &Server{session.NewService(log, session.Config{
		What: "connection", OrphanAfter: cfg.OrphanAfter, Max: cfg.MaxDials, MaxLine: wire.MaxLine,
		Decode: func(line []byte) (session.Request, *wire.ExecFail) {
			req, fail := decode(line)
			call := session.Request{ID: req.ID, Stdout: req.StdoutOffset, OrphanAfter: time.Duration(req.OrphanMS) * time.Millisecond}
			if req.Start != nil {
				call.Begin = func(end *stream.End) session.Job { return newDialled(log, end, *req.Start, cfg.Timeout) }
			}
			return call, fail
		},
	})}
}

// decode reads a request and checks its address.
func decode(line []byte) (req api.DialOpenRequest, fail *wire.ExecFail) {
	if err := json.Unmarshal(line, &req); err != nil {
		return req, session.Invalid("", "the request is no dial request: %v", err)
	}
	if req.Start != nil {
		fail = check(*req.Start)
	}
	return req, fail
}

// check refuses what is no address.
func check(spec api.DialSpec) *wire.ExecFail {
	switch spec.Network {
	case "tcp":
		host, port, err := net.SplitHostPort(spec.Address)
		n, numErr := strconv.ParseUint(port, 10, 16)
		if err != nil || numErr != nil || n == 0 || host == "" || len(host) > 255 {
			return session.Invalid("Write it as HOST:PORT, for instance 127.0.0.1:22.", "%.80q is no address", spec.Address)
		}
	case "unix":
		if !filepath.IsAbs(spec.Address) || len(spec.Address) >= len(syscall.RawSockaddrUnix{}.Path) {
			return session.Invalid("Name a Unix socket by its absolute path.", "%.80q is no path of a socket", spec.Address)
		}
	default:
		return session.Invalid("It is tcp or unix.", "there is no network %.40q", spec.Network)
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

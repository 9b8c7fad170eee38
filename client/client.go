// Package client is the Go client of banger's daemon: a typed method for every
// method of the API, waiting for operations, the event stream, and commands in
// guests that outlive a restart of daemon and monitor.
//
// Every error is an *api.Error in its chain; decide by its Kind.
package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// Config says how a Client reaches its daemon.
type Config struct {
	Socket string // path of the daemon's socket, of any length
	// StartDaemon starts a daemon where none answers and returns once one
	// does; nil: that is an error.
	StartDaemon func(ctx context.Context) error
	// Patience is how long a daemon that went away during a call is waited
	// for, default 15 s. Calls carry idempotency keys, so repeating one is
	// harmless.
	Patience time.Duration
}

// Client talks to a daemon. It connects on its first call and again when the
// connection is lost; any number of calls may run at once.
type Client struct {
	cfg Config

	dialing sync.Mutex // one goroutine connects, the others wait for it
	mu      sync.Mutex // leaf: guards conn
	conn    *rpc.Client
}

// New makes a Client that connects when it is needed.
func New(cfg Config) *Client {
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Second
	}
	return &Client{cfg: cfg}
}

// Dial makes a Client and connects it.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c := New(cfg)
	_, err := c.connect(ctx)
	return c, err
}

// Answers reports whether a daemon listens on a socket.
func Answers(ctx context.Context, socket string) bool {
	conn, err := rpc.Dial(ctx, socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Close ends the connection. A later call opens another.
func (c *Client) Close() error {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// current returns the connection if it is still good.
func (c *Client) current() *rpc.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	select {
	case <-c.conn.Lost():
		c.conn = nil
	default:
	}
	return c.conn
}

func (c *Client) connect(ctx context.Context) (*rpc.Client, error) {
	if conn := c.current(); conn != nil {
		return conn, nil
	}
	c.dialing.Lock()
	defer c.dialing.Unlock()
	if conn := c.current(); conn != nil {
		return conn, nil
	}
	nc, err := rpc.Dial(ctx, c.cfg.Socket)
	if nobody(err) && c.cfg.StartDaemon != nil {
		if err := c.cfg.StartDaemon(ctx); err != nil {
			return nil, err
		}
		nc, err = rpc.Dial(ctx, c.cfg.Socket)
	}
	if err != nil {
		return nil, unreachable(c.cfg.Socket, err)
	}
	conn := rpc.NewClient(nc)
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return conn, nil
}

// nobody reports whether err says that no daemon listens.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func unreachable(socket string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return rpc.AsAPI(err)
	case nobody(err):
		return api.NewError(api.KindUnavailable, "no daemon answers on "+socket, "The next command that needs one starts it, for instance: banger ls")
	case errors.Is(err, fs.ErrPermission):
		return api.NewError(api.KindUnavailable, "the daemon's socket "+socket+" is another user's", "")
	}
	return api.NewError(api.KindUnavailable, err.Error(), "")
}

// call makes a call, again where the daemon goes away before it answers.
func (c *Client) call(ctx context.Context, method string, params, result any) error {
	err := c.try(ctx, method, params, result)
	var lost *lostError
	for deadline := time.Now().Add(c.cfg.Patience); errors.As(err, &lost) && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return rpc.AsAPI(fmt.Errorf("waiting for the daemon: %w", ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
		if err = c.try(ctx, method, params, result); api.KindOf(err) == api.KindUnavailable && c.current() == nil {
			err = &lostError{err} // not back yet
		}
	}
	return err
}

// lostError is an error of a connection that was there and went away.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

func (c *Client) try(ctx context.Context, method string, params, result any) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	err = conn.Call(ctx, method, params, result)
	if api.KindOf(err) != api.KindUnavailable {
		return err
	}
	// A daemon that stops says so and hangs up; a VM may be unavailable too.
	select {
	case <-conn.Lost():
		return &lostError{err}
	case <-time.After(100 * time.Millisecond):
		return err
	}
}

func get[R any](ctx context.Context, c *Client, method string, params any) (R, error) {
	var result R
	err := c.call(ctx, method, params, &result)
	return result, err
}

// key returns the caller's idempotency key, or a new one.
func key(given string) string {
	if given != "" {
		return given
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

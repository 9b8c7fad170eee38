// Package guest is the host's side of a guest's agent: it keeps the connection
// over the raw channel, calls the agent, and passes the streams of commands
// through unread. Nothing that comes from a guest is trusted: all of it is
// bounded and checked here.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/stream"
)

// Dialer opens the raw channel to the agent.
type Dialer func(ctx context.Context) (io.ReadWriteCloser, error)

// patient is how many times an attempt is made in the time that all took so far.
const patient = 32

// Config is what may differ. Zero values take the defaults.
type Config struct {
	CallTimeout time.Duration // of a call, whatever its context says: 30 s
	Attempt     time.Duration // of one attempt to connect: 5 s
	Backoff     time.Duration // between attempts at first, and up to 32 times as much: 10 ms
	// A connection that brings nothing for Idle is asked for a sign of life and
	// given up when there is none for Silence more: 5 s and 4 s.
	Idle, Silence time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.CallTimeout, 30 * time.Second},
		{&c.Attempt, 5 * time.Second},
		{&c.Backoff, 10 * time.Millisecond},
		{&c.Idle, 5 * time.Second},
		{&c.Silence, 4 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	return c
}

// Client talks to one guest's agent. It connects when there is something to
// ask, and again whenever the connection is lost.
type Client struct {
	dial Dialer
	log  *slog.Logger
	cfg  Config

	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	conn    *http.ClientConn
	attempt chan struct{} // closed when the attempt under way is over
	lastErr error
	failing time.Time // since when attempts fail; zero: they do not
}

// New makes a client; Close ends it.
func New(dial Dialer, log *slog.Logger, cfg Config) *Client {
	life, end := context.WithCancel(context.Background())
	return &Client{dial: dial, log: log, cfg: cfg.withDefaults(), life: life, end: end}
}

// Close ends the connection and all that goes over it.
func (c *Client) Close() error {
	c.end()
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// connected returns the connection, a new one if need be, and waits for it.
func (c *Client) connected(ctx context.Context) (*http.ClientConn, error) {
	for {
		conn, wait, lastErr := c.current()
		if conn != nil {
			return conn, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			if lastErr == nil {
				lastErr = context.Cause(ctx)
			}
			return nil, unavailable("the guest's agent does not answer: %w", lastErr)
		case <-c.life.Done():
			return nil, unavailable("the connection to the guest's agent was closed: %w", net.ErrClosed)
		}
	}
}

// current returns the connection, or what to wait for.
func (c *Client) current() (conn *http.ClientConn, wait <-chan struct{}, lastErr error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && c.conn.Err() == nil {
		return c.conn, nil, nil
	}
	c.conn = nil
	if c.attempt == nil {
		c.attempt = make(chan struct{})
		go c.try(c.attempt)
	}
	return nil, c.attempt, c.lastErr
}

// try attempts to connect once, and rests after a failure.
func (c *Client) try(over chan struct{}) {
	defer close(over)
	conn, err := c.open()
	if err == nil && c.life.Err() != nil {
		err = errors.Join(c.life.Err(), conn.Close())
	}
	c.mu.Lock()
	c.lastErr = err
	if err == nil {
		c.conn, c.attempt, c.failing = conn, nil, time.Time{}
		c.mu.Unlock()
		return
	}
	if c.failing.IsZero() {
		c.failing = time.Now()
	}
	// A fraction of the time that it has taken already, so that little is lost
	// when a guest has booted and little is tried in vain where none does.
	rest := min(max(time.Since(c.failing)/patient, c.cfg.Backoff), patient*c.cfg.Backoff)
	c.mu.Unlock()
	c.log.Debug("no connection to the guest's agent", "err", err, "again_in", rest)
	select {
	case <-time.After(rest):
	case <-c.life.Done():
	}
	c.mu.Lock()
	c.attempt = nil
	c.mu.Unlock()
}

// open makes a connection: the channel, the resynchronisation, HTTP/2.
func (c *Client) open() (*http.ClientConn, error) {
	ctx, cancel := context.WithTimeout(c.life, c.cfg.Attempt)
	defer cancel()
	raw, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the agent channel: %w", err)
	}
	channel, err := wire.Connect(ctx, raw)
	if err != nil {
		return nil, err
	}
	conn, err := c.transport(channel).NewClientConn(ctx, "http", "agent:80")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("beginning HTTP/2 on the agent channel: %w", err), channel.Close())
	}
	return conn, nil
}

// transport speaks HTTP/2 on the one connection that it is given.
func (c *Client) transport(channel net.Conn) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return channel, nil },
		Protocols:              protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: wire.MaxHeader,
		HTTP2: &http.HTTP2Config{
			// Pass and the calls read all at once, so the windows bound what a
			// guest can make us hold only for an instant.
			MaxReceiveBufferPerConnection: 3 << 20,
			MaxReceiveBufferPerStream:     1 << 20,
			MaxReadFrameSize:              stream.MaxBuffered,
			SendPingTimeout:               c.cfg.Idle,
			PingTimeout:                   c.cfg.Silence,
			WriteByteTimeout:              c.cfg.Idle + c.cfg.Silence,
		},
	}
}

func unavailable(format string, args ...any) error {
	return fault.New(fault.Unavailable, "The guest may still be booting, or hang: see its console.", format, args...)
}

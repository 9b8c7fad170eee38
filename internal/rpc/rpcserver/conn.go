package rpcserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/creachadair/jrpc2"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// conn is one connection. It is jrpc2's channel too: it counts the calls that
// came in and the answers that went out, so that a stop waits for the last.
type conn struct {
	s    *Server
	line *rpc.LineConn
	idle chan struct{} // told when the last open call is answered

	mu   sync.Mutex // leaf: guards open
	open int        // calls without an answer
}

func (c *conn) serve(ctx context.Context) {
	if e := c.refused(); e != nil {
		c.fail(nil, rpc.Code(e.Kind), e)
		return
	}
	first, err := c.line.ReadLine()
	if err != nil {
		c.readFailed(err)
		return
	}
	var req rpc.Request
	if json.Unmarshal(first, &req) == nil {
		if stream := c.s.cfg.Streams[req.Method]; stream != nil {
			c.serveStream(ctx, req, stream)
			return
		}
	}
	c.line.UnreadLine(first)
	srv := jrpc2.NewServer(assigner{c.s}, &jrpc2.ServerOptions{
		DisableBuiltin: true,
		Concurrency:    c.s.cfg.Concurrency,
		NewContext:     func() context.Context { return ctx },
	})
	// It ends when the connection does: jrpc2's own Stop races with its reader.
	if err := srv.Start(c).Wait(); err != nil {
		c.s.log.Debug("a connection ended", "err", err)
	}
}

// refused returns an error for a peer that may not call.
func (c *conn) refused() *api.Error {
	uid, gid, err := peer(c.line.Conn)
	if err != nil {
		return api.NewError(api.KindInternal, err.Error(), "")
	}
	allow := c.s.cfg.Allow
	if allow == nil {
		allow = func(uid, _ uint32) bool { return uid == c.s.own || uid == 0 }
	}
	if allow(uid, gid) {
		return nil
	}
	c.s.log.Warn("a peer was refused", "uid", uid, "gid", gid)
	return api.NewError(api.KindFailedPrecondition,
		fmt.Sprintf("the user with the ID %d may not use this daemon, which belongs to the user with the ID %d", uid, c.s.own), "")
}

func peer(nc net.Conn) (uid, gid uint32, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0, 0, errors.New("the connection has no peer credentials")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, 0, fmt.Errorf("reading the peer's credentials: %w", err)
	}
	var cred *syscall.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		cred, optErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, optErr); err != nil {
		return 0, 0, fmt.Errorf("reading the peer's credentials: %w", err)
	}
	return cred.Uid, cred.Gid, nil
}

// Recv implements channel.Channel. Lines that are no JSON are answered here,
// so that every error on the wire has banger's form. A notification is passed
// over: banger has none, and jrpc2 would hold up all calls after it.
func (c *conn) Recv() ([]byte, error) {
	for {
		line, err := c.line.ReadLine()
		if err != nil {
			c.readFailed(err)
			return nil, err
		}
		var head rpc.Request
		err = json.Unmarshal(line, &head)
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			c.fail(nil, rpc.CodeParse, api.NewError(api.KindInvalid, "a line on the connection is not JSON", ""))
		case err == nil && head.Method != "" && (len(head.ID) == 0 || string(head.ID) == "null"):
			c.s.log.Debug("a notification was ignored", "method", head.Method)
		default:
			c.count(1)
			return line, nil
		}
	}
}

// Send implements channel.Channel.
func (c *conn) Send(msg []byte) error {
	defer c.count(-1)
	defer c.s.answered()
	err := c.line.WriteLine(msg)
	if err != nil {
		c.line.Close() // half a line may be out
	}
	return err
}

// Close implements channel.Channel.
func (c *conn) Close() error { return c.line.Close() }

func (c *conn) count(n int) {
	c.mu.Lock()
	c.open += n
	quiet := c.open <= 0
	c.mu.Unlock()
	if quiet {
		select {
		case c.idle <- struct{}{}:
		default:
		}
	}
}

func (c *conn) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open <= 0
}

// readFailed tells a peer what was wrong with its line, if that was it.
func (c *conn) readFailed(err error) {
	if errors.Is(err, rpc.ErrTooLong) {
		c.fail(nil, rpc.CodeInvalidRequest, api.NewError(api.KindInvalid,
			fmt.Sprintf("a request is longer than %d bytes", rpc.MaxRequest), "Send large data as a stream."))
	}
}

func (c *conn) fail(id json.RawMessage, code int, e *api.Error) {
	if err := reply(c.line, rpc.Reply{ID: id, Error: rpc.ToWire(code, e)}); err != nil {
		c.s.log.Debug("an error could not be told to its peer", "err", err)
	}
}

func reply(line *rpc.LineConn, r rpc.Reply) error {
	r.Version = "2.0"
	if r.ID == nil {
		r.ID = json.RawMessage("null")
	}
	msg, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a reply: %w", err)
	}
	return line.WriteLine(msg)
}

// assigner gives jrpc2 the handler of a method.
type assigner struct{ s *Server }

// Assign implements jrpc2.Assigner.
func (a assigner) Assign(_ context.Context, method string) jrpc2.Handler {
	return func(ctx context.Context, req *jrpc2.Request) (any, error) {
		h := a.s.cfg.Methods[method]
		if req.IsNotification() { // in a batch
			return nil, nil
		}
		if h == nil {
			return nil, a.unknown(method)
		}
		var params json.RawMessage
		if err := req.UnmarshalParams(&params); err != nil {
			return nil, wireError(rpc.CodeInvalidParams, rpc.AsAPI(err))
		}
		result, err := a.s.call(ctx, method, params, h)
		if err != nil {
			e := a.s.apiError(ctx, method, err)
			return nil, wireError(rpc.Code(e.Kind), e)
		}
		return result, nil
	}
}

func (a assigner) unknown(method string) error {
	if a.s.cfg.Streams[method] != nil {
		return wireError(rpc.CodeInvalidRequest, api.NewError(api.KindInvalid,
			method+" must be the first call on its connection", "Open a connection for it."))
	}
	return wireError(rpc.CodeMethodNotFound, api.NewError(api.KindInvalid,
		fmt.Sprintf("there is no method %q", method), rpc.OtherVersion))
}

func wireError(code int, e *api.Error) error {
	w := rpc.ToWire(code, e)
	return &jrpc2.Error{Code: jrpc2.Code(w.Code), Message: w.Message, Data: w.Data}
}

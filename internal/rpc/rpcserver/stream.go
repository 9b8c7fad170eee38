package rpcserver

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/banger-vm/banger/internal/rpc"
)

// StreamConn is a connection that a stream has taken over. The stream answers
// the call with Reply or Fail, once; then it reads and writes raw bytes, those
// that came in with the call included.
type StreamConn struct {
	*rpc.LineConn
	s   *Server
	ctx context.Context
	req rpc.Request
}

// Reply answers the call.
func (c *StreamConn) Reply(result any) error {
	encoded, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the reply of %s: %w", c.req.Method, err)
	}
	return reply(c.LineConn, rpc.Reply{ID: c.req.ID, Result: encoded})
}

// Fail answers the call with an error.
func (c *StreamConn) Fail(err error) error {
	e := c.s.apiError(c.ctx, c.req.Method, err)
	return reply(c.LineConn, rpc.Reply{ID: c.req.ID, Error: rpc.ToWire(rpc.Code(e.Kind), e)})
}

func (c *conn) serveStream(ctx context.Context, req rpc.Request, stream Stream) {
	c.count(1)
	defer c.count(-1)
	defer func() {
		if p := recover(); p != nil {
			c.s.log.Error("a stream panicked", "method", req.Method, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream(ctx, req.Params, &StreamConn{LineConn: c.line, s: c.s, ctx: ctx, req: req})
}

// Bind makes a Handler of a typed function; parameters are decoded strictly.
func Bind[P, R any](f func(ctx context.Context, params P) (R, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var params P
		if err := rpc.Decode(raw, &params); err != nil {
			return nil, err
		}
		return f(ctx, params)
	}
}

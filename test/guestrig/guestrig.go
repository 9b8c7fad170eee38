// Package guestrig serves a part of the guest's agent to a client without a
// guest: over a socket in the place of the agent's channel, and a pipe in that
// of the monitor's socket.
package guestrig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/rpc"
)

// Serve serves h to the host's end until the test ends.
func Serve(t *testing.T, h http.Handler) *guest.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: protocols}
	c := guest.New(func(context.Context) (io.ReadWriteCloser, error) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			return nil, err
		}
		defer l.Close()
		host, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			return nil, err
		}
		port, err := l.Accept()
		if err != nil {
			return nil, err
		}
		go srv.Serve(wire.Listen(port.(wire.Port), false))
		return host, nil
	}, slog.New(slog.DiscardHandler), guest.Config{})
	t.Cleanup(func() {
		c.Close()
		srv.Close()
	})
	return c
}

// Opener is a call of the agent that begins a stream.
type Opener func(ctx context.Context, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error)

// Dialer is a client's way to the agent, as through a monitor.
func Dialer(open Opener) client.ExecDialer {
	return func(ctx context.Context) (net.Conn, error) {
		host, conn := net.Pipe()
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			line, err := in.ReadBytes('\n')
			var req rpc.Request
			if err != nil || json.Unmarshal(line, &req) != nil {
				return
			}
			reply := map[string]any{"jsonrpc": "2.0", "id": 1}
			s, ok, err := open(ctx, req.Params, nil)
			if err != nil {
				reply["error"] = map[string]any{"code": 1, "message": err.Error(), "data": refusal(err)}
			} else {
				reply["result"] = ok
			}
			if json.NewEncoder(conn).Encode(reply) == nil && err == nil {
				guest.Pass(context.Background(), struct {
					io.Reader
					io.WriteCloser
				}{in, conn}, s)
			}
		}()
		return host, nil
	}
}

// refusal is an error as the wire has it.
func refusal(err error) *api.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return api.NewError(api.Kind(f.Kind), f.Error(), f.Hint)
	}
	return api.NewError(api.KindInternal, err.Error(), "")
}

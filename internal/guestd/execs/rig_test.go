package execs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/execs"
	"github.com/banger-vm/banger/internal/rpc"
)

// rig is the service with a way to it for clients.
type rig struct {
	t     *testing.T
	execs *execs.Server
	guest *guest.Client
}

func newRig(t *testing.T, cfg execs.Config) *rig {
	log := slog.New(slog.DiscardHandler)
	r := &rig{t: t, execs: execs.New(log, cfg)}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: r.execs, Protocols: protocols}
	r.guest = guest.New(func(context.Context) (io.ReadWriteCloser, error) {
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
	}, log, guest.Config{})
	t.Cleanup(func() {
		r.execs.Close()
		eventually(t, "the commands end", func() bool { return r.execs.Running() == 0 })
		r.guest.Close()
		srv.Close()
	})
	return r
}

// dial is a client's way through a monitor.
func (r *rig) dial(ctx context.Context) (net.Conn, error) {
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
		s, ok, err := r.guest.Exec(ctx, req.Params, nil)
		if err != nil {
			reply["error"] = map[string]any{"code": 1, "message": err.Error(), "data": api.NewError(api.KindNotFound, err.Error(), "")}
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

func (r *rig) start(spec api.ExecSpec, cfg client.ExecConfig) *client.Exec {
	r.t.Helper()
	if spec.User == "" {
		spec.User = "root"
	}
	x, err := client.StartExec(r.t.Context(), r.dial, client.NewExecID(), spec, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

// run runs a shell's script and returns its output and exit.
func (r *rig) run(spec api.ExecSpec, script string) (string, api.ExecExit) {
	r.t.Helper()
	var out bytes.Buffer
	spec.Argv = []string{"sh", "-c", script}
	exit, err := r.start(spec, client.ExecConfig{Stdout: &out, Stderr: &out}).Wait()
	if err != nil {
		r.t.Fatal(err)
	}
	return out.String(), exit
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

package guest_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/execs"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// rig is a guest's agent, its monitor and a place for clients, all in here.
type rig struct {
	t     testing.TB
	execs *execs.Server
	guest *guest.Client
	sock  string

	mu      sync.Mutex
	agents  []io.Closer // the raw channels
	clients []net.Conn
	frozen  []*freezer // the channels again, as a vsock that a snapshot may drop
}

func newRig(t testing.TB, cfg execs.Config) *rig { return newRigWith(t, cfg, guest.Config{}) }

func newRigWith(t testing.TB, cfg execs.Config, host guest.Config) *rig {
	log := slog.New(slog.DiscardHandler)
	r := &rig{t: t, execs: execs.New(log, cfg)}
	mux := http.NewServeMux()
	mux.Handle("POST "+wire.PathExec, r.execs)
	mux.HandleFunc("GET "+wire.PathHealth, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.Health{Execs: r.execs.Running()})
	})
	r.guest = guest.New(func(context.Context) (io.ReadWriteCloser, error) {
		host, near := socketpair(t)
		far, port := socketpair(t)
		go serveAgent(port, mux)
		f := freeze(near, far)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.agents = append(r.agents, host)
		r.frozen = append(r.frozen, f)
		return host, nil
	}, log, host)
	r.sock = filepath.Join(t.TempDir(), "m.sock")
	l, err := net.Listen("unix", r.sock)
	if err != nil {
		t.Fatal(err)
	}
	srv := rpcserver.New(log, rpcserver.Config{
		Streams: map[string]rpcserver.Stream{api.MethodExecAttach: r.attach},
		MapError: func(err error) *api.Error {
			f := fault.From(err)
			return api.NewError(api.Kind(f.Kind), f.Message, f.Hint)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { srv.Serve(ctx, l) })
	t.Cleanup(func() {
		r.execs.Close()
		r.guest.Close()
		cancel()
		l.Close()
		served.Wait()
	})
	return r
}

// attach is what a monitor does.
func (r *rig) attach(ctx context.Context, raw json.RawMessage, conn *rpcserver.StreamConn) {
	s, ok, err := r.guest.Exec(ctx, raw, conn.TakeBuffered())
	if err != nil {
		conn.Fail(err)
		return
	}
	if conn.Reply(ok) == nil {
		guest.Pass(ctx, conn, s)
	}
	s.Close()
}

func serveAgent(port wire.Port, h http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: protocols, MaxHeaderBytes: wire.MaxHeader, HTTP2: &http.HTTP2Config{
		MaxConcurrentStreams: 1024, MaxReceiveBufferPerConnection: 3 << 20,
		MaxReceiveBufferPerStream: 1 << 20, MaxReadFrameSize: 64 << 10,
	}}
	srv.Serve(wire.Listen(port, false))
}

// dial is a client's way to the monitor.
func (r *rig) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", r.sock)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.clients = append(r.clients, conn)
	}
	return conn, err
}

func (r *rig) start(spec api.ExecSpec, cfg client.ExecConfig) *client.Exec {
	r.t.Helper()
	x, err := client.StartExec(context.Background(), r.dial, client.NewExecID(), spec, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

// freezer copies between a host's end and a guest's until it is told to stop:
// then the host's end hears nothing any more, not even an end, and what it
// sends stays in its buffer; the guest's end is closed.
type freezer struct {
	near wire.Port
	far  net.Conn
	mu   sync.Mutex // held while a piece is passed on
	over bool
}

func freeze(near wire.Port, far net.Conn) *freezer {
	f := &freezer{near: near, far: far}
	go f.copy(far, near)
	go f.copy(near, far)
	return f
}

func (f *freezer) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		f.mu.Lock()
		over := f.over
		f.mu.Unlock()
		if over {
			return
		}
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.near.Close()
		f.far.Close()
	}
}

func (f *freezer) now() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.far.Close()
}

// freezeAgent drops the newest channel to the agent without a sign.
func (r *rig) freezeAgent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen[len(r.frozen)-1].now()
}

// breakSomething breaks the newest connection of the client or of the agent.
func (r *rig) breakSomething(rnd *rand.Rand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rnd.Intn(2) == 0 {
		r.clients[len(r.clients)-1].Close()
	} else {
		r.agents[len(r.agents)-1].Close()
	}
}

func socketpair(t testing.TB) (net.Conn, wire.Port) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b.(wire.Port)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

func wait(t testing.TB, x *client.Exec) api.ExecExit {
	t.Helper()
	exit, err := x.Wait()
	if err != nil {
		t.Fatalf("waiting for the command: %v", err)
	}
	return exit
}

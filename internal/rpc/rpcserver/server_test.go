package rpcserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

type echoParams struct {
	Text string `json:"text"`
}

// serve runs a server for the test and returns its socket and a stop, which
// returns what Serve returned.
func serve(t testing.TB, cfg rpcserver.Config) (socket string, stop func() error) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := rpc.Listen(socket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- rpcserver.New(slog.New(slog.DiscardHandler), cfg).Serve(ctx, l)
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return socket, stop
}

func dial(t *testing.T, socket string) *rpc.Client {
	t.Helper()
	conn, err := rpc.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	c := rpc.NewClient(conn)
	t.Cleanup(func() { c.Close() })
	return c
}

func methods() map[string]rpcserver.Handler {
	return map[string]rpcserver.Handler{
		"echo": rpcserver.Bind(func(_ context.Context, p echoParams) (echoParams, error) { return p, nil }),
		"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"busy": func(context.Context, json.RawMessage) (any, error) {
			return nil, fmt.Errorf("wrapped: %w", &api.Error{Kind: api.KindBusy, Message: "it is busy", Hint: "wait", Operation: "op1"})
		},
		"plain": func(context.Context, json.RawMessage) (any, error) { return nil, errors.New("disk on fire") },
		"panic": func(context.Context, json.RawMessage) (any, error) { panic("oops") },
	}
}

func wantKind(t *testing.T, err error, kind api.Kind, text string) {
	t.Helper()
	if api.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("error %v (kind %q), want kind %q with %q", err, api.KindOf(err), kind, text)
	}
}

func TestCalls(t *testing.T) {
	socket, _ := serve(t, rpcserver.Config{Methods: methods()})
	c := dial(t, socket)
	call := func(method string, params any) error { return c.Call(t.Context(), method, params, nil) }

	var got echoParams
	if err := c.Call(t.Context(), "echo", echoParams{"<&\u2028>"}, &got); err != nil || got.Text != "<&\u2028>" {
		t.Errorf("echo: %q, %v", got.Text, err)
	}
	wantKind(t, call("nope", nil), api.KindInvalid, `there is no method "nope"`)
	wantKind(t, call("rpc.serverInfo", nil), api.KindInvalid, "there is no method")
	wantKind(t, call("echo", map[string]int{"tex": 1}), api.KindInvalid, `the parameter "tex" is not known`)
	wantKind(t, call("echo", map[string]int{"text": 1}), api.KindInvalid, `the parameter "text" cannot be a JSON number`)
	wantKind(t, call("echo", []int{1}), api.KindInvalid, "must be a JSON object")
	wantKind(t, call("plain", nil), api.KindInternal, "disk on fire")
	wantKind(t, call("panic", nil), api.KindInternal, "made a mistake")
	wantKind(t, c.Call(t.Context(), "echo", echoParams{"x"}, new(int)), api.KindInternal, "cannot be decoded")

	var e *api.Error
	if err := call("busy", nil); !errors.As(err, &e) || *e != (api.Error{Kind: api.KindBusy, Message: "it is busy", Hint: "wait", Operation: "op1"}) {
		t.Errorf("busy: %#v", err)
	}
	if err := call("echo", nil); err != nil {
		t.Errorf("after all these errors: %v", err)
	}
}

func TestWaitingCallsStallNothing(t *testing.T) {
	var waiting atomic.Int32
	all := make(chan struct{})
	m := methods()
	m["wait"] = func(ctx context.Context, _ json.RawMessage) (any, error) {
		if waiting.Add(1) == 100 {
			close(all)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	socket, stop := serve(t, rpcserver.Config{Methods: m})
	c := dial(t, socket)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			wantKind(t, c.Call(context.Background(), "wait", nil, nil), api.KindUnavailable, "stopping")
		})
	}
	<-all
	if err := c.Call(t.Context(), "echo", nil, nil); err != nil {
		t.Errorf("a call beside 100 waiting ones: %v", err)
	}
	if err := stop(); err != nil { // answers them all
		t.Error(err)
	}
	wg.Wait()
}

func TestDisconnectCancels(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	socket, _ := serve(t, rpcserver.Config{Methods: map[string]rpcserver.Handler{
		"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
			close(started)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		},
	}})
	c := dial(t, socket)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- c.Call(ctx, "wait", nil, nil) }()
	<-started
	cancel()
	wantKind(t, <-failed, api.KindCanceled, "wait")
	c.Close()
	<-ended
}

func TestStopAnswersTheLastCall(t *testing.T) {
	started := make(chan struct{})
	socket, stop := serve(t, rpcserver.Config{Methods: map[string]rpcserver.Handler{
		"slow": func(ctx context.Context, _ json.RawMessage) (any, error) {
			close(started)
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond)
			return "done", nil
		},
	}})
	c := dial(t, socket)
	got := make(chan error, 1)
	var result string
	go func() { got <- c.Call(context.Background(), "slow", nil, &result) }()
	<-started
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-got; err != nil || result != "done" {
		t.Errorf("the call under way got %q, %v", result, err)
	}
	_, err := rpc.Dial(t.Context(), socket)
	if err == nil {
		t.Error("the socket is still there")
	}
}

func TestStopIsBounded(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	socket, stop := serve(t, rpcserver.Config{Grace: 10 * time.Millisecond, Methods: map[string]rpcserver.Handler{
		"deaf": func(context.Context, json.RawMessage) (any, error) {
			close(started)
			<-release
			return nil, nil
		},
	}})
	c := dial(t, socket)
	got := make(chan error, 1)
	go func() { got <- c.Call(context.Background(), "deaf", nil, nil) }()
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	wantKind(t, <-got, api.KindUnavailable, "lost")
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestBadLines(t *testing.T) {
	socket, _ := serve(t, rpcserver.Config{Methods: methods()})
	long := strings.Repeat("x", rpc.MaxRequest+8192)
	for _, tc := range []struct {
		name, send string
		want       []string
		open       bool // the connection goes on
	}{
		{"no JSON", "hello\n", []string{`"code":-32700`, `"kind":"invalid"`, `"id":null`}, true},
		{"no request", "42\n", []string{`"error"`}, true},
		{"empty batch", "[]\n", []string{`"error"`}, true},
		{"no version", `{"id":1,"method":"echo"}` + "\n", []string{`"error"`, `"id":1`}, true},
		{"a notification and empty lines are nothing", "\n\n" + `{"jsonrpc":"2.0","method":"wait"}` + "\nx\n", []string{`"code":-32700`}, true},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"echo"},{"jsonrpc":"2.0","id":2,"method":"busy"}]` + "\n", []string{`"id":1,"result":{"text":""}`, `"id":2,"error"`, `"kind":"busy"`}, true},
		{"too long", long, []string{"longer than 1048576 bytes", `"kind":"invalid"`}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := rpc.Dial(t.Context(), socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go io.WriteString(conn, tc.send)
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(line, want) {
					t.Errorf("answer %q lacks %q", line, want)
				}
			}
			if tc.open {
				io.WriteString(conn, `{"jsonrpc":"2.0","id":7,"method":"echo"}`+"\n")
				if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, `"id":7,"result"`) {
					t.Errorf("afterwards: %q, %v", line, err)
				}
			} else if _, err := r.ReadString('\n'); err == nil {
				t.Error("the connection was not closed")
			}
		})
	}
}

func TestClientHearsWhyItsLineWasRefused(t *testing.T) {
	socket, _ := serve(t, rpcserver.Config{Methods: methods()})
	err := dial(t, socket).Call(t.Context(), "echo", echoParams{strings.Repeat("x", 4*rpc.MaxRequest)}, nil)
	wantKind(t, err, api.KindInvalid, "longer than")
}

func TestRefusedPeer(t *testing.T) {
	socket, _ := serve(t, rpcserver.Config{Methods: methods(), Allow: func(uid, gid uint32) bool { return false }})
	wantKind(t, dial(t, socket).Call(t.Context(), "echo", nil, nil), api.KindFailedPrecondition, "may not use this daemon")
}

func TestStream(t *testing.T) {
	socket, _ := serve(t, rpcserver.Config{
		Methods: methods(),
		Streams: map[string]rpcserver.Stream{
			"upper": func(_ context.Context, params json.RawMessage, conn *rpcserver.StreamConn) {
				var p echoParams
				if err := rpc.Decode(params, &p); err != nil {
					conn.Fail(err)
					return
				}
				conn.Reply(p)
				data, _ := io.ReadAll(conn)
				conn.Write([]byte(strings.ToUpper(string(data))))
			},
			"broken": func(context.Context, json.RawMessage, *rpcserver.StreamConn) { panic("oops") },
		},
	})
	open := func(lines string) net.Conn {
		conn, err := rpc.Dial(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, lines)
		conn.(*net.UnixConn).CloseWrite()
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	got, err := io.ReadAll(open(`{"jsonrpc":"2.0","id":1,"method":"upper","params":{"text":"a"}}` + "\nraw\nbytes"))
	if want := `{"jsonrpc":"2.0","id":1,"result":{"text":"a"}}` + "\nRAW\nBYTES"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	got, _ = io.ReadAll(open(`{"jsonrpc":"2.0","id":1,"method":"upper","params":{"x":1}}` + "\n"))
	if !strings.Contains(string(got), `"kind":"invalid"`) {
		t.Errorf("bad parameters: %q", got)
	}
	if got, err := io.ReadAll(open(`{"jsonrpc":"2.0","id":1,"method":"broken"}` + "\n")); len(got) > 0 || err != nil {
		t.Errorf("a stream that panics: %q, %v", got, err)
	}
	wantKind(t, dial(t, socket).Call(t.Context(), "echo", nil, nil), "", "")
	c := dial(t, socket)
	c.Call(t.Context(), "echo", nil, nil)
	wantKind(t, c.Call(t.Context(), "upper", nil, nil), api.KindInvalid, "must be the first call")
}

func TestRest(t *testing.T) {
	rests := make(chan struct{}, 100)
	socket, _ := serve(t, rpcserver.Config{
		Methods: methods(), RestAfter: 5 * time.Millisecond, Rest: func() { rests <- struct{}{} },
	})
	c := dial(t, socket)
	for range 3 { // a rest after each burst of calls
		for len(rests) > 0 {
			<-rests
		}
		if err := c.Call(t.Context(), "echo", echoParams{"a"}, nil); err != nil {
			t.Fatal(err)
		}
		<-rests
	}
}

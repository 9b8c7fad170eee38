package client

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// daemon serves methods on a socket until stop is called.
func daemon(t *testing.T, socket string, methods map[string]rpcserver.Handler) (stop func()) {
	t.Helper()
	l, err := rpc.Listen(socket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- rpcserver.New(slog.New(slog.DiscardHandler), rpcserver.Config{Methods: methods}).Serve(ctx, l)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "s") }

func TestNoDaemon(t *testing.T) {
	c := New(Config{Socket: socketPath(t)})
	_, err := c.DaemonStatus(t.Context())
	if api.KindOf(err) != api.KindUnavailable || !strings.Contains(err.Error(), "no daemon answers") {
		t.Errorf("got %v", err)
	}
	if _, err := Dial(t.Context(), Config{Socket: socketPath(t)}); err == nil {
		t.Error("Dial found a daemon")
	}
}

func TestDaemonIsStartedOnce(t *testing.T) {
	socket := socketPath(t)
	var starts atomic.Int32
	c := New(Config{Socket: socket, StartDaemon: func(context.Context) error {
		starts.Add(1)
		daemon(t, socket, map[string]rpcserver.Handler{
			api.MethodDaemonStatus: rpcserver.Bind(func(context.Context, api.Empty) (api.DaemonStatus, error) { return api.DaemonStatus{PID: 7}, nil }),
		})
		return nil
	}})
	defer c.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if s, err := c.DaemonStatus(t.Context()); err != nil || s.PID != 7 {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	if n := starts.Load(); n != 1 {
		t.Errorf("the daemon was started %d times", n)
	}
}

func TestStartThatFails(t *testing.T) {
	want := errors.New("no bangerd")
	c := New(Config{Socket: socketPath(t), StartDaemon: func(context.Context) error { return want }})
	if _, err := c.DaemonStatus(t.Context()); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestWaitOverARestart(t *testing.T) {
	socket := socketPath(t)
	waiting := make(chan struct{}, 1)
	wait := func(answer *api.Operation) map[string]rpcserver.Handler {
		return map[string]rpcserver.Handler{api.MethodOpWait: rpcserver.Bind(func(ctx context.Context, _ api.OpWaitRequest) (*api.Operation, error) {
			if answer != nil {
				return answer, nil
			}
			waiting <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})}
	}
	stop := daemon(t, socket, wait(nil))
	c := New(Config{Socket: socket})
	defer c.Close()
	got := make(chan error, 1)
	var states []api.OpState
	go func() {
		_, err := c.WaitOperation(context.Background(), "op1", func(op api.Operation) { states = append(states, op.State) })
		got <- err
	}()
	<-waiting
	stop()
	daemon(t, socket, wait(&api.Operation{ID: "op1", State: api.OpFailed, Error: &api.Error{Kind: api.KindInvalid, Message: "no"}}))
	var e *api.Error
	if err := <-got; !errors.As(err, &e) || *e != (api.Error{Kind: api.KindInvalid, Message: "no", Operation: "op1"}) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(states, []api.OpState{api.OpFailed}) {
		t.Errorf("saw %v", states)
	}
}

func TestDaemonThatStaysAway(t *testing.T) {
	socket := socketPath(t)
	started := make(chan struct{})
	stop := daemon(t, socket, map[string]rpcserver.Handler{api.MethodOpShow: rpcserver.Bind(func(ctx context.Context, _ api.OpRef) (api.Empty, error) {
		close(started)
		<-ctx.Done()
		return api.Empty{}, ctx.Err()
	})})
	go func() {
		<-started
		stop()
	}()
	c := New(Config{Socket: socket, Patience: 200 * time.Millisecond})
	defer c.Close()
	if _, err := c.OpShow(t.Context(), "x"); api.KindOf(err) != api.KindUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestRepeatedCallsCarryOneKey(t *testing.T) {
	socket := socketPath(t)
	var mu sync.Mutex
	var keys []string
	calls := make(chan struct{}, 2)
	handler := func(block bool) map[string]rpcserver.Handler {
		return map[string]rpcserver.Handler{api.MethodVMStart: rpcserver.Bind(func(ctx context.Context, r api.VMStartRequest) (api.Operation, error) {
			mu.Lock()
			keys = append(keys, r.Key)
			mu.Unlock()
			calls <- struct{}{}
			if block {
				<-ctx.Done()
			}
			return api.Operation{ID: "op1"}, ctx.Err()
		})}
	}
	stop := daemon(t, socket, handler(true))
	c := New(Config{Socket: socket})
	defer c.Close()
	got := make(chan error, 1)
	go func() {
		_, err := c.VMStart(context.Background(), api.VMStartRequest{VM: "x"})
		got <- err
	}()
	<-calls
	stop()
	daemon(t, socket, handler(false))
	if err := <-got; err != nil {
		t.Error(err)
	}
	if len(keys) != 2 || keys[0] != keys[1] || len(keys[0]) < 16 {
		t.Errorf("keys %q", keys)
	}
}

func TestOperationError(t *testing.T) {
	for state, want := range map[api.OpState]api.Kind{
		api.OpRunning: "", api.OpSucceeded: "", api.OpCanceled: api.KindCanceled, api.OpFailed: api.KindInternal,
	} {
		if err := OperationError(api.Operation{State: state}); api.KindOf(err) != want {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestEventsAreReadOn(t *testing.T) {
	socket := socketPath(t)
	const newest = 5
	daemon(t, socket, map[string]rpcserver.Handler{api.MethodEventWatch: rpcserver.Bind(func(_ context.Context, r api.EventWatchRequest) (api.EventBatch, error) {
		b := api.EventBatch{Last: newest, Gap: r.Since == 0}
		for seq := uint64(r.Since) + 1; seq <= newest && len(b.Events) < 2; seq++ { // two an answer
			b.Events = append(b.Events, api.Event{Seq: seq})
		}
		return b, nil
	})})
	c := New(Config{Socket: socket})
	defer c.Close()
	var seen []uint64
	gaps := 0
	done := errors.New("done")
	err := c.Events(t.Context(), 0, "", func() { gaps++ }, func(e api.Event) error {
		seen = append(seen, e.Seq)
		if e.Seq == newest {
			return done
		}
		return nil
	})
	if err != done || !slices.Equal(seen, []uint64{1, 2, 3, 4, 5}) || gaps != 1 {
		t.Errorf("saw %v, %d gaps, %v", seen, gaps, err)
	}
}

func TestMonitorDialer(t *testing.T) {
	t.Run("this daemon", func(t *testing.T) {
		again := 0
		testMonitorDialer(t, func(endpoint func() api.VMEndpoint) rpcserver.Handler {
			return rpcserver.Bind(func(_ context.Context, r api.VMConnectRequest) (api.VMEndpoint, error) {
				if r.Again { // only the first connection is a new one
					again++
				}
				return endpoint(), nil
			})
		})
		if again != 2 {
			t.Errorf("%d connections were no new ones", again)
		}
	})
	t.Run("older daemon", func(t *testing.T) {
		testMonitorDialer(t, func(endpoint func() api.VMEndpoint) rpcserver.Handler {
			return rpcserver.Bind(func(context.Context, api.VMRef) (api.VMEndpoint, error) { return endpoint(), nil })
		})
	})
}

func testMonitorDialer(t *testing.T, handler func(endpoint func() api.VMEndpoint) rpcserver.Handler) {
	socket, monitor := socketPath(t), socketPath(t)
	boot := "b1"
	stop := daemon(t, socket, map[string]rpcserver.Handler{api.MethodVMConnect: handler(func() api.VMEndpoint {
		return api.VMEndpoint{ID: "id", Name: "dev", BootID: boot, Socket: monitor}
	})})
	daemon(t, monitor, nil)
	c := New(Config{Socket: socket, Patience: time.Millisecond})
	defer c.Close()
	at, err := c.VMConnect(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	dial := c.monitorDialer(at)
	try := func() error {
		conn, err := dial(t.Context())
		if err == nil {
			conn.Close()
		}
		return err
	}
	for range 2 {
		if err := try(); err != nil {
			t.Error(err)
		}
	}
	boot = "b2"
	if err := try(); api.KindOf(err) != api.KindNotFound {
		t.Errorf("the VM was restarted: %v", err)
	}
	stop()
	if err := try(); err != nil {
		t.Errorf("without a daemon: %v", err)
	}
}

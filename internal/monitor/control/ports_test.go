package control

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// monitor answers with methods in dir, as one that runs.
func monitor(t *testing.T, dir string, methods map[string]rpcserver.Handler) {
	t.Helper()
	l, err := rpc.Listen(filepath.Join(dir, SocketFile), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := jsonfile.Write(dir, LaunchFile, machine.Launch{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	if methods[MethodStatus] == nil {
		methods[MethodStatus] = rpcserver.Bind(func(context.Context, StatusRequest) (machine.Status, error) {
			return machine.Status{BootID: "b", Phase: machine.PhaseRunning}, nil
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- rpcserver.New(slog.New(slog.DiscardHandler), rpcserver.Config{Methods: methods}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// The daemon's end hands requests on, and a monitor's refusal as it is.
func TestPorts(t *testing.T) {
	dir := t.TempDir()
	var asked ForwardRequest
	monitor(t, dir, map[string]rpcserver.Handler{
		MethodForward: rpcserver.Bind(func(_ context.Context, r ForwardRequest) (api.Empty, error) {
			if asked = r; len(r.All) == 0 {
				return api.Empty{}, fault.New(fault.Busy, "Use another.", "port 80 is in use")
			}
			return api.Empty{}, nil
		}),
		MethodListening: rpcserver.Bind(func(context.Context, api.Empty) (machine.Listening, error) {
			return machine.Listening{
				Guest:    wire.Listeners{All: []wire.Listening{{Network: "tcp", Port: 80}}, More: true},
				Forwards: []forward.Status{{Forward: forward.Forward{GuestPort: 80}, Port: 8080, Connections: 3}},
			}, nil
		}),
	})
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	web := forward.Forward{Address: "0.0.0.0", HostPort: 8080, GuestPort: 80}
	if err := r.Forward(t.Context(), dir, []forward.Forward{web}, true); err != nil || len(asked.All) != 1 || asked.All[0] != web || !asked.Auto {
		t.Errorf("%+v, %v", asked, err)
	}
	err := r.Forward(t.Context(), dir, nil, false)
	if f := fault.From(err); f == nil || f.Kind != fault.Busy || f.Message != "port 80 is in use" || f.Hint != "Use another." {
		t.Errorf("%v", err)
	}
	l, err := r.Listening(t.Context(), dir)
	if err != nil || len(l.Guest.All) != 1 || !l.Guest.More || len(l.Forwards) != 1 || l.Forwards[0].Connections != 3 || l.Forwards[0].GuestPort != 80 {
		t.Errorf("%+v, %v", l, err)
	}
}

// A monitor that was there before an upgrade says what to do.
func TestPortsOfAnOldMonitor(t *testing.T) {
	dir := t.TempDir()
	monitor(t, dir, map[string]rpcserver.Handler{})
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	err := r.Forward(t.Context(), dir, nil, false)
	if f := fault.From(err); f == nil || f.Kind != fault.Precondition || !strings.Contains(f.Message, "older banger") || !strings.Contains(f.Hint, "Stop and start") {
		t.Errorf("%v", err)
	}
}

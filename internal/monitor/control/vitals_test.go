package control

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// The daemon's end hands the questions on, with their time, and refusals as
// they are.
func TestVitals(t *testing.T) {
	dir := t.TempDir()
	late := fault.New(fault.Deadline, "See.", "the guest's agent did not answer within 2s")
	monitor(t, dir, map[string]rpcserver.Handler{
		MethodPing: rpcserver.Bind(func(_ context.Context, r WaitRequest) (Pong, error) {
			if r.WaitMS != 1500 {
				return Pong{}, late
			}
			return Pong{MS: 2.5}, nil
		}),
		MethodHealth: rpcserver.Bind(func(context.Context, WaitRequest) (wire.Health, error) { return wire.Health{Execs: 3}, nil }),
		MethodCounts: rpcserver.Bind(func(context.Context, WaitRequest) (machine.Counts, error) {
			return machine.Counts{Traffic: &network.Traffic{SentBytes: 9}, Missing: []string{"no guest"}}, nil
		}),
	})
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	if d, err := r.Ping(t.Context(), dir, 1500*time.Millisecond); err != nil || d != 2500*time.Microsecond {
		t.Errorf("%s, %v", d, err)
	}
	_, err := r.Ping(t.Context(), dir, 2*time.Second)
	if f := fault.From(err); f == nil || f.Kind != fault.Deadline || f.Message != late.Message || f.Hint != "See." {
		t.Errorf("%v", err)
	}
	if h, err := r.Health(t.Context(), dir, time.Second); err != nil || h.Execs != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	c, err := r.Counts(t.Context(), dir, time.Second)
	if err != nil || c.Traffic == nil || c.Traffic.SentBytes != 9 || len(c.Missing) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A monitor that was there before an upgrade says what to do; where nothing
// runs, that is told.
func TestVitalsOfNone(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	if _, err := r.Ping(t.Context(), t.TempDir(), time.Second); !errors.Is(err, machine.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	monitor(t, dir, map[string]rpcserver.Handler{})
	_, err := r.Counts(t.Context(), dir, time.Second)
	if f := fault.From(err); f == nil || f.Kind != fault.Precondition || !strings.Contains(f.Message, "older banger that does not tell") {
		t.Errorf("%v", err)
	}
}

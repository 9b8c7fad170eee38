package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// daemon is the part of a daemon that stands on a store.
type daemon struct {
	store  *Store
	events *event.Log
	ops    *operation.Registry
}

func startDaemon(t *testing.T, path string, steps []operation.Step) daemon {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := daemon{store: openTest(t, path)}
	var err error
	if d.events, err = event.Open(t.Context(), d.store, log, event.Config{Decode: operation.EventData}); err != nil {
		t.Fatal(err)
	}
	d.ops = operation.New(d.store, claim.NewTable(), d.events, log, operation.Config{Planners: map[string]operation.Planner{
		"k": func(operation.Record) (operation.Plan, error) { return operation.Plan{Steps: steps}, nil },
	}})
	if err := d.ops.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d daemon) stop(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	if err := errors.Join(d.ops.Close(ctx), d.events.Close(ctx), d.store.Close()); err != nil {
		t.Fatal(err)
	}
}

// An operation is interrupted by a daemon's end, and its events and its result
// come from the next one, over a real file.
func TestDaemonRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	entered := make(chan struct{}, 2)
	steps := []operation.Step{
		{Name: "one", Do: func(context.Context, operation.Report) error { return nil }},
		{Name: "two", Do: func(ctx context.Context, _ operation.Report) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}},
	}
	d := startDaemon(t, path, steps)
	rec, err := d.ops.Begin(t.Context(), operation.Request{Kind: "k", Target: "vm/x", Key: "key", Params: map[string]int{"n": 1}})
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	d.stop(t)

	steps[1].Do = steps[0].Do
	d = startDaemon(t, path, steps)
	end, err := d.ops.Wait(t.Context(), rec.ID[:5])
	if err != nil || end.State != operation.Succeeded || end.Resumed != 1 || string(end.Params) != `{"n":1}` {
		t.Fatalf("%+v %v", end, err)
	}
	if again, err := d.ops.Begin(t.Context(), operation.Request{Kind: "k", Target: "vm/y", Key: "key"}); err != nil || again.ID != rec.ID {
		t.Fatal(again.ID, err)
	}
	d.stop(t)

	d = startDaemon(t, path, steps)
	defer d.stop(t)
	events, _, gap, err := d.events.Since(t.Context(), 0, "op/"+rec.ID, 0)
	if err != nil || gap {
		t.Fatal(gap, err)
	}
	var types string
	for _, e := range events {
		types += e.Type + " "
		if data, ok := e.Data.(operation.Record); !ok || data.ID != rec.ID {
			t.Errorf("%s carries %#v", e.Type, e.Data)
		}
	}
	if types != "op.started op.resumed op.finished " {
		t.Fatal(types)
	}
	if _, err := d.ops.Get(t.Context(), "ffff"); fault.KindOf(err) != fault.NotFound {
		t.Fatal(err)
	}
}

// Nobody else reads the state: it holds names, labels and paths.
func TestFileModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banger.db")
	s := openTest(t, path)
	if err := s.InsertVM(t.Context(), record(1)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s: %v (%v)", path, suffix, info.Mode(), err)
		}
	}
}

package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
)

// memJournal keeps records as JSON, as the store does.
type memJournal struct {
	mu     sync.Mutex
	ids    []string
	recs   map[string]string
	writes int
	// write is asked before each write and told after it; nil allows all.
	write func(apply func()) error
}

func newJournal() *memJournal { return &memJournal{recs: map[string]string{}} }

func (j *memJournal) put(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	apply := func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.writes++
		if _, ok := j.recs[r.ID]; !ok {
			j.ids = append(j.ids, r.ID)
		}
		j.recs[r.ID] = string(text)
	}
	j.mu.Lock()
	write := j.write
	j.mu.Unlock()
	if write != nil {
		return write(apply)
	}
	apply()
	return nil
}

func (j *memJournal) setWrite(write func(apply func()) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write = write
}

func (j *memJournal) InsertOperation(ctx context.Context, r Record) (*Record, error) {
	if rec, err := j.OperationByKey(ctx, r.Kind, r.Key); rec != nil || err != nil {
		return rec, err
	}
	return nil, j.put(r)
}

func (j *memJournal) UpdateOperation(_ context.Context, r Record) error { return j.put(r) }

func (j *memJournal) Operation(ctx context.Context, id string) (Record, error) {
	all, err := j.Operations(ctx, true)
	for _, r := range all {
		if strings.HasPrefix(r.ID, id) {
			return r, err
		}
	}
	return Record{}, fault.New(fault.NotFound, "", "there is no operation %q", id)
}

func (j *memJournal) OperationByKey(ctx context.Context, kind, key string) (*Record, error) {
	all, err := j.Operations(ctx, true)
	for _, r := range all {
		if key != "" && r.Kind == kind && r.Key == key {
			return &r, err
		}
	}
	return nil, err
}

func (j *memJournal) Operations(_ context.Context, all bool) (recs []Record, _ error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range slices.Backward(j.ids) {
		var r Record
		if err := json.Unmarshal([]byte(j.recs[id]), &r); err != nil {
			return nil, err
		}
		if all || !r.State.Final() {
			recs = append(recs, r)
		}
	}
	return recs, nil
}

// recorder is a Publisher.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Publish(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) all() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) types() (types []string) {
	for _, e := range r.all() {
		types = append(types, e.Type)
	}
	return types
}

// rig is a registry over fakes.
type rig struct {
	*Registry
	journal *memJournal
	events  *recorder
	claims  *claim.Table
}

// newRig returns a registry whose planners are fixed plans by kind.
func newRig(t testing.TB, j *memJournal, plans map[string]Plan) *rig {
	t.Helper()
	planners := map[string]Planner{}
	for kind, plan := range plans {
		planners[kind] = func(Record) (Plan, error) { return plan, nil }
	}
	n := 0
	r := &rig{journal: j, events: &recorder{}, claims: claim.NewTable()}
	r.Registry = New(j, r.claims, r.events, slog.New(slog.DiscardHandler), Config{
		Planners: planners,
		NewID:    func() string { n++; return fmt.Sprintf("%02x%06x", n, time.Now().UnixNano()%1e6) },
	})
	if err := r.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) begin(t testing.TB, req Request) Record {
	t.Helper()
	rec, err := r.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func (r *rig) end(t testing.TB, id string) Record {
	t.Helper()
	rec, err := r.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := r.journal.Operation(t.Context(), id)
	if err != nil || stored.State != rec.State {
		t.Fatalf("shown as %s, stored as %s (%v)", rec.State, stored.State, err)
	}
	if h, held := r.claims.Holder(rec.Target); held && h.Operation == id {
		t.Fatal("it ended and holds its claim")
	}
	return rec
}

func (r *rig) close(t testing.TB) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// trace is steps that write down what is done and undone.
type trace struct {
	mu  sync.Mutex
	log []string
}

func (tr *trace) add(s string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.log = append(tr.log, s)
}

func (tr *trace) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return strings.Join(tr.log, " ")
}

func (tr *trace) step(name string, do func(ctx context.Context, report Report) error) Step {
	return Step{
		Name: name,
		Do: func(ctx context.Context, report Report) error {
			tr.add("+" + name)
			if do == nil {
				return nil
			}
			return do(ctx, report)
		},
		Undo: func(ctx context.Context) error { tr.add("-" + name); return ctx.Err() },
	}
}

func sleep(ctx context.Context, _ Report) error {
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func fail(context.Context, Report) error {
	return fault.New(fault.Unavailable, "Buy a disk.", "%w", errors.New("no space"))
}

package operation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
)

// Config is what a Registry is told besides its dependencies; zero values take
// the defaults.
type Config struct {
	Planners      map[string]Planner // by kind
	Now           func() time.Time
	NewID         func() string
	UndoTimeout   time.Duration // for the undoing of one step; default 2 minutes
	ProgressEvery time.Duration // at most one progress event in this time; default 100 ms
	// Pass is told of each moment between two writes of the journal, and may
	// hold the operation up there: tests end the program in it. nil: nobody is.
	Pass func(Moment)
}

// Registry runs operations. Its own mutex and those of its runs are leaves.
type Registry struct {
	journal Journal
	claims  *claim.Table
	events  event.Publisher
	log     *slog.Logger
	cfg     Config

	life    context.Context // ends with errShutdown
	endLife context.CancelCauseFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	runs   map[string]*run // by ID
}

// The causes for which a run's context ends.
var (
	errShutdown = errors.New("the daemon is stopping")
	errCanceled = errors.New("cancelled")
)

// New returns a registry. Recover must be called before anything is begun.
func New(j Journal, claims *claim.Table, events event.Publisher, log *slog.Logger, cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = newID
	}
	if cfg.UndoTimeout == 0 {
		cfg.UndoTimeout = 2 * time.Minute
	}
	if cfg.ProgressEvery == 0 {
		cfg.ProgressEvery = 100 * time.Millisecond
	}
	if cfg.Pass == nil {
		cfg.Pass = func(Moment) {}
	}
	r := &Registry{
		journal: j, claims: claims, events: events, log: log, cfg: cfg,
		runs: map[string]*run{},
	}
	r.life, r.endLife = context.WithCancelCause(context.Background())
	return r
}

func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Begin stores an operation, claims its target and starts it; ctx bounds only
// this call. A target in use is fault.Busy with the other operation's ID.
func (r *Registry) Begin(ctx context.Context, req Request) (Record, error) {
	if known, err := r.Known(ctx, req.Kind, req.Key); known != nil || err != nil {
		return deref(known), err
	}
	if r.life.Err() != nil {
		return Record{}, stopping()
	}
	rec, plan, err := r.plan(req)
	if err != nil {
		return Record{}, err
	}
	u := r.newRun(rec, plan)
	release, err := r.claim(ctx, u, req.Preempt)
	if err != nil {
		// It may be the very operation asked for that holds the target by now.
		if known, _ := r.Known(ctx, req.Kind, req.Key); known != nil {
			return *known, nil
		}
		return Record{}, err
	}
	u.stepStarted(0)
	existing, err := r.journal.InsertOperation(ctx, u.snapshot())
	if existing != nil || err != nil {
		release()
		if err != nil {
			return Record{}, fmt.Errorf("the operation could not be stored: %w", err)
		}
		return r.overlay(*existing), nil
	}
	if err := r.launch(u, release, "op.started"); err != nil {
		return Record{}, err
	}
	return u.snapshot(), nil
}

// Known returns the operation of a kind that was begun with an idempotency key,
// nil if there is none. Who looks for the target of a request asks this first:
// the operation may be what took the target away.
func (r *Registry) Known(ctx context.Context, kind, key string) (*Record, error) {
	if key == "" {
		return nil, nil
	}
	rec, err := r.journal.OperationByKey(ctx, kind, key)
	if rec != nil {
		*rec = r.overlay(*rec)
	}
	return rec, err
}

func (r *Registry) plan(req Request) (Record, Plan, error) {
	params, err := json.Marshal(req.Params)
	if err != nil {
		return Record{}, Plan{}, fmt.Errorf("the parameters of %s cannot be encoded: %w", req.Kind, err)
	}
	rec := Record{
		ID: r.cfg.NewID(), Kind: req.Kind, Target: req.Target, Name: req.Name, Key: req.Key,
		Params: params, State: Running, StartedAt: r.cfg.Now(),
	}
	plan, err := r.planOf(rec)
	for _, s := range plan.Steps {
		rec.Steps = append(rec.Steps, StepRecord{Name: s.Name, State: StepPending})
	}
	return rec, plan, err
}

func (r *Registry) planOf(rec Record) (plan Plan, err error) {
	planner := r.cfg.Planners[rec.Kind]
	if planner == nil {
		return Plan{}, fmt.Errorf("this daemon knows no operation %q", rec.Kind)
	}
	defer catch(r.log, "the planner of "+rec.Kind, &err)
	return planner(rec)
}

func (r *Registry) claim(ctx context.Context, u *run, preempt bool) (func(), error) {
	h := claim.Holder{Operation: u.rec.ID, Kind: u.rec.Kind, Name: u.rec.Name, Cancel: func() {
		if _, err := u.requestCancel(); err != nil {
			u.log.Error("a cancel could not be stored", "err", err)
		}
	}}
	if preempt {
		return r.claims.Preempt(ctx, u.rec.Target, h)
	}
	return r.claims.TryClaim(u.rec.Target, h)
}

// launch runs u until it ends or the registry is closed.
func (r *Registry) launch(u *run, release func(), started string) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		release() // it is in the journal: the next daemon takes it up
		return stopping()
	}
	r.runs[u.rec.ID] = u
	r.running.Add(1)
	r.mu.Unlock()
	go func() {
		defer r.running.Done()
		u.publish(started)
		stop, told := make(chan struct{}), make(chan struct{})
		go func() { u.tell(stop); close(told) }()
		u.execute()
		close(stop)
		<-told // no progress after the end
		release()
		u.reveal()
		if u.snapshot().State.Final() {
			u.publish("op.finished")
		}
		r.forget(u)
		close(u.done)
	}()
	return nil
}

func stopping() error {
	return fault.New(fault.Unavailable, "Try again in a moment.", "%w", errShutdown)
}

// forget leaves u to the journal, unless its end could not be stored.
func (r *Registry) forget(u *run) {
	if u.unsaved {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, u.rec.ID)
}

// Close interrupts what runs, without undoing it: the next registry over the
// same journal takes it up again. It returns once all steps have, or at ctx's end.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.endLife(errShutdown) // running operations see it in their contexts
	done := make(chan struct{})
	go func() { r.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		left := len(r.runs)
		r.mu.Unlock()
		return fmt.Errorf("%d operations did not let go in time: %w", left, ctx.Err())
	}
}

// overlay replaces a journaled record by its live one.
func (r *Registry) overlay(rec Record) Record {
	if u := r.live(rec.ID); u != nil {
		return u.snapshot()
	}
	return rec
}

func (r *Registry) live(id string) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[id]
}

func deref(rec *Record) Record {
	if rec == nil {
		return Record{}
	}
	return *rec
}

func (rec Record) clone() Record {
	rec.Steps = slices.Clone(rec.Steps)
	return rec
}

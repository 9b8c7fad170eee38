package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/fault"
)

// Close interrupts without undoing; the next registry goes on in the same step.
func TestCloseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		j := newJournal()
		plans := map[string]Plan{"k": {Steps: []Step{tr.step("a", nil), tr.step("b", sleep), tr.step("c", nil)}}}
		r := newRig(t, j, plans)
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		waited := make(chan error)
		go func() {
			_, err := r.Wait(t.Context(), rec.ID)
			waited <- err
		}()
		synctest.Wait()
		r.close(t)
		if err := <-waited; fault.KindOf(err) != fault.Unavailable {
			t.Fatal(err)
		}
		if _, err := r.Begin(t.Context(), Request{Kind: "k", Target: "y"}); fault.KindOf(err) != fault.Unavailable {
			t.Fatal(err)
		}
		if tr.String() != "+a +b" {
			t.Fatal(&tr)
		}
		r = newRig(t, j, plans)
		if _, err := r.Begin(t.Context(), Request{Kind: "k", Target: "x"}); fault.KindOf(err) != fault.Busy {
			t.Fatal("the target of a resumed operation is free", err)
		}
		end := r.end(t, rec.ID)
		if end.State != Succeeded || end.Resumed != 1 || tr.String() != "+a +b +b +c" || r.events.types()[0] != "op.resumed" {
			t.Fatal(end.State, end.Resumed, &tr)
		}
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		deaf := func(context.Context, Report) error { time.Sleep(time.Hour); return nil }
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", deaf)}}})
		r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 operations") {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// What was being undone goes on being undone, by whom it may.
func TestCloseWhileUndoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		j := newJournal()
		a := tr.step("a", nil)
		a.Undo = func(ctx context.Context) error { tr.add("-a?"); return sleep(ctx, nil) }
		plans := map[string]Plan{"k": {Steps: []Step{a, tr.step("b", sleep)}}}
		r := newRig(t, j, plans)
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		if _, err := r.Cancel(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.close(t)
		r = newRig(t, j, plans)
		if end := r.end(t, rec.ID); end.State != Canceled || tr.String() != "+a +b -b -a? -a?" || r.events.types()[0] != "op.rolling_back" {
			t.Fatal(end.State, &tr)
		}
	})
}

// A failure is journaled before it is undone: the next daemon does not try again.
func TestCloseAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		j := newJournal()
		b := tr.step("b", fail)
		b.Undo = func(ctx context.Context) error { tr.add("-b?"); return sleep(ctx, nil) }
		plans := map[string]Plan{"k": {Steps: []Step{tr.step("a", nil), b}}}
		r := newRig(t, j, plans)
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		r.close(t)
		plans["k"].Steps[1] = tr.step("b", nil) // it would work now
		end := newRig(t, j, plans).end(t, rec.ID)
		if end.State != Failed || end.Error.Message != "no space" || strings.Count(tr.String(), "+b") != 1 {
			t.Fatalf("%s %+v %s", end.State, end.Error, &tr)
		}
	})
}

// A plan that says so is undone after a crash, not resumed.
func TestRollBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		j := newJournal()
		plans := map[string]Plan{"k": {RollBack: true, Steps: []Step{tr.step("a", nil), tr.step("b", sleep)}}}
		r := newRig(t, j, plans)
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		r.close(t)
		r = newRig(t, j, plans)
		end := r.end(t, rec.ID)
		if end.State != Failed || !strings.Contains(end.Error.Message, "daemon ended") || tr.String() != "+a +b -b -a" || r.events.types()[0] != "op.rolling_back" {
			t.Fatalf("%s %+v %s", end.State, end.Error, &tr)
		}
	})
}

// A newer program may have other steps, or no such kind at all.
func TestRecoverWithAnotherPlan(t *testing.T) {
	for name, c := range map[string]struct {
		plans map[string]Plan
		state State
		says  string
	}{
		"more steps":  {map[string]Plan{"k": {Steps: []Step{{Name: "new", Do: nop}, {Name: "a", Do: nop}, {Name: "b", Do: nop}}}}, Succeeded, ""},
		"fewer steps": {map[string]Plan{"k": {Steps: []Step{{Name: "a", Do: nop}}}}, Failed, "no step b"},
		"no kind":     {nil, Failed, `no operation "k"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				r := newRig(t, j, map[string]Plan{"k": {Steps: []Step{{Name: "a", Do: nop}, {Name: "b", Do: sleep}}}})
				rec := r.begin(t, Request{Kind: "k", Target: "x"})
				time.Sleep(time.Second)
				r.close(t)
				end := newRig(t, j, c.plans).end(t, rec.ID)
				if end.State != c.state || end.Error != nil && !strings.Contains(end.Error.Message, c.says) {
					t.Fatalf("%s %+v", end.State, end.Error)
				}
			})
		})
	}
}

func nop(context.Context, Report) error { return nil }

var errDead = errors.New("this process is dead")

// life is one process: it dies at its nth instant, and from then on nothing
// it does has an effect.
type life struct {
	mu    sync.Mutex
	count int
	dies  int // -1: never
}

// instant does f, unless the process is dead by then.
func (l *life) instant(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dies >= 0 && l.count >= l.dies {
		return errDead
	}
	l.count++
	f()
	return nil
}

// world is what steps change: each makes two things.
type world struct {
	mu     sync.Mutex
	things map[string]bool
}

func (w *world) set(name string, there bool) func() {
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if there {
			w.things[name] = true
		} else {
			delete(w.things, name)
		}
	}
}

func (w *world) has(names ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(names, func(n string) bool { return !w.things[n] })
}

// scenario is an operation and what happens to it.
type scenario struct {
	steps    int
	fails    int // the step that fails, or -1
	panics   bool
	asksDone bool
	rollBack bool
	deaths   []int // instants, one for each process but the last
	cancelAt int   // instants of the first process, or -1
}

func drawScenario(t *rapid.T) scenario {
	return scenario{
		steps:    rapid.IntRange(1, 4).Draw(t, "steps"),
		fails:    rapid.IntRange(-4, 3).Draw(t, "fails"),
		panics:   rapid.Bool().Draw(t, "panics"),
		asksDone: rapid.Bool().Draw(t, "asks done"),
		rollBack: rapid.Bool().Draw(t, "roll back"),
		deaths:   rapid.SliceOfN(rapid.IntRange(0, 14), 0, 3).Draw(t, "deaths"),
		cancelAt: rapid.IntRange(-10, 12).Draw(t, "cancel at"),
	}
}

func (s scenario) plan(l *life, w *world) Plan {
	plan := Plan{RollBack: s.rollBack}
	for i := range s.steps {
		one, two := fmt.Sprint(i, "-1"), fmt.Sprint(i, "-2")
		step := Step{
			Name: fmt.Sprint("step", i),
			Do: func(ctx context.Context, _ Report) error {
				if err := l.instant(w.set(one, true)); err != nil {
					return err
				}
				if err := sleep(ctx, nil); err != nil {
					return err
				}
				if i == s.fails && s.panics {
					panic("as planned")
				}
				if i == s.fails {
					return errors.New("as planned")
				}
				return l.instant(w.set(two, true))
			},
			Undo: func(context.Context) error {
				return errors.Join(l.instant(w.set(two, false)), l.instant(w.set(one, false)))
			},
		}
		if s.asksDone {
			step.Done = func(context.Context) (bool, error) { return w.has(one, two), nil }
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan
}

// live runs one process until it has nothing to do or is dead.
func (s scenario) live(t *testing.T, j *memJournal, w *world, dies int, first bool) (cancelled, perhaps bool) {
	l := &life{dies: dies}
	j.setWrite(func(apply func()) error { return l.instant(apply) })
	r := &rig{journal: j}
	done := make(chan struct{})
	go func() {
		defer close(done)
		rig, err := tryRig(t, j, map[string]Plan{"k": s.plan(l, w)})
		r = rig
		if err == nil && first {
			_, err = r.Begin(t.Context(), Request{Kind: "k", Target: "vm/x", Key: "key"})
		}
		if err != nil && !errors.Is(err, errDead) {
			t.Error(err)
		}
	}()
	<-done
	if first && s.cancelAt >= 0 {
		time.Sleep(time.Duration(s.cancelAt) * 20 * time.Second)
		ops, err := r.List(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range ops {
			rec, err := r.Cancel(t.Context(), op.ID)
			perhaps = err != nil
			cancelled = err == nil && rec.Error != nil && rec.Error.Kind == fault.Canceled
		}
	}
	time.Sleep(time.Hour)
	r.close(t)
	return cancelled, perhaps
}

// tryRig is newRig for a process that may die while it recovers.
func tryRig(t *testing.T, j *memJournal, plans map[string]Plan) (*rig, error) {
	r := newRig(t, newJournal(), plans)
	r.journal, r.Registry.journal = j, j
	return r, r.Recover(t.Context())
}

// Whatever instant a daemon dies at, and the next ones, in the end everything
// is done or everything is undone, and the record says which.
func TestCrashAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		synctest.Test(t, func(t *testing.T) { s.check(t) })
	})
}

func (s scenario) check(t *testing.T) {
	j, w := newJournal(), &world{things: map[string]bool{}}
	var cancelled, perhaps bool
	lives := append(slices.Clone(s.deaths), -1)
	for i, dies := range lives {
		if i == 0 {
			cancelled, perhaps = s.live(t, j, w, dies, true)
		} else {
			s.live(t, j, w, dies, false)
		}
	}
	ops, err := j.Operations(t.Context(), true)
	if err != nil || len(ops) > 1 {
		t.Fatal(ops, err)
	}
	if len(ops) == 0 { // it died before the operation was stored
		if len(w.things) != 0 {
			t.Fatalf("%+v: nothing was stored, and there is %v", s, w.things)
		}
		return
	}
	op := ops[0]
	want := 0
	if op.State == Succeeded {
		want = 2 * s.steps
	}
	if !op.State.Final() || len(w.things) != want {
		t.Fatalf("%+v: it %s, and there is %v", s, op.State, w.things)
	}
	fails := s.fails >= 0 && s.fails < s.steps
	switch {
	case cancelled && op.State == Succeeded:
		t.Fatalf("%+v: it was cancelled, and succeeded", s)
	case fails && op.State == Succeeded, !fails && !cancelled && !perhaps && !s.rollBack && op.State != Succeeded:
		t.Fatalf("%+v: it %s (%v)", s, op.State, op.Error)
	}
}

// The same, for every single instant of a fixed operation.
func TestCrashAtEveryInstant(t *testing.T) {
	for dies := range 40 {
		for _, again := range []int{0, 1, 2, 5} {
			for _, rollBack := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					scenario{steps: 3, fails: -1, rollBack: rollBack, asksDone: dies%2 == 0, deaths: []int{dies, again}, cancelAt: -1}.check(t)
				})
			}
		}
	}
}

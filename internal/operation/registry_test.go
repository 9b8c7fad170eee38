package operation

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

func TestSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{"k": {
			Steps:  []Step{tr.step("a", sleep), tr.step("b", nil), tr.step("c", nil)},
			Result: func() any { return map[string]string{"id": "x"} },
		}})
		rec := r.begin(t, Request{Kind: "k", Target: "vm/x", Name: "dev", Params: 7})
		if rec.State != Running || rec.Steps[0].State != StepStarted || string(rec.Params) != "7" {
			t.Fatalf("%+v", rec)
		}
		end := r.end(t, rec.ID)
		if end.State != Succeeded || string(end.Result) != `{"id":"x"}` || tr.String() != "+a +b +c" || end.EndedAt.Sub(end.StartedAt) != time.Minute {
			t.Fatalf("%+v %s", end, &tr)
		}
		if end.Steps[0].MS != 60_000 || end.Steps[2].State != StepDone {
			t.Fatalf("%+v", end.Steps)
		}
		if r.journal.writes != 4 {
			t.Errorf("%d writes for 3 steps, want 4", r.journal.writes)
		}
		synctest.Wait()
		types := r.events.types()
		if types[0] != "op.started" || types[len(types)-1] != "op.finished" {
			t.Errorf("%v", types)
		}
	})
}

func TestFailureIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		var told error
		r := newRig(t, newJournal(), map[string]Plan{"k": {
			Steps: []Step{tr.step("a", nil), tr.step("b", fail), tr.step("c", nil)},
			Fail:  func(_ context.Context, err error) { told = err; tr.add("told") },
		}})
		end := r.end(t, r.begin(t, Request{Kind: "k", Target: "x"}).ID)
		if end.State != Failed || tr.String() != "+a +b -b -a told" {
			t.Fatalf("%+v %s", end, &tr)
		}
		if e := end.Error; e.Kind != fault.Unavailable || e.Message != "no space" || e.Hint == "" || e.Operation != end.ID {
			t.Fatalf("%+v", end.Error)
		}
		if fault.KindOf(told) != fault.Unavailable {
			t.Fatal(told)
		}
		if s := end.Steps; s[0].State != StepUndone || s[1].State != StepFailed || s[2].State != StepPending {
			t.Fatalf("%+v", s)
		}
	})
}

// Panics anywhere in a plan fail the operation; the daemon and the claim are fine.
func TestPanics(t *testing.T) {
	boom := func(context.Context, Report) error { panic("boom") }
	for name, edit := range map[string]func(*Plan){
		"do":     func(p *Plan) { p.Steps[1].Do = boom },
		"undo":   func(p *Plan) { p.Steps[1].Do = fail; p.Steps[1].Undo = func(context.Context) error { panic("boom") } },
		"result": func(p *Plan) { p.Result = func() any { panic("boom") } },
		"fail":   func(p *Plan) { p.Steps[1].Do = fail; p.Fail = func(context.Context, error) { panic("boom") } },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tr trace
				plan := Plan{Steps: []Step{tr.step("a", nil), tr.step("b", nil)}}
				edit(&plan)
				r := newRig(t, newJournal(), map[string]Plan{"k": plan})
				end := r.end(t, r.begin(t, Request{Kind: "k", Target: "x"}).ID)
				if end.State != Failed || !strings.Contains(end.Error.Message, "boom") || !strings.HasSuffix(tr.String(), "-a") {
					t.Fatalf("%+v %s", end.Error, &tr)
				}
			})
		})
	}
}

func TestCancelInEachStep(t *testing.T) {
	for i, want := range []string{"+a -a", "+a +b -b -a", "+a +b +c -c -b -a"} {
		synctest.Test(t, func(t *testing.T) {
			var tr trace
			r := newRig(t, newJournal(), map[string]Plan{"k": {
				Steps: []Step{tr.step("a", sleep), tr.step("b", sleep), tr.step("c", sleep)},
			}})
			rec := r.begin(t, Request{Kind: "k", Target: "x"})
			time.Sleep(time.Duration(i)*time.Minute + time.Second)
			now, err := r.Cancel(t.Context(), rec.ID)
			if err != nil || now.Error == nil || now.Error.Kind != fault.Canceled {
				t.Fatal(now.State, err)
			}
			end := r.end(t, rec.ID)
			if end.State != Canceled || end.Error.Kind != fault.Canceled || tr.String() != want {
				t.Fatalf("%+v %s", end, &tr)
			}
			again, err := r.Cancel(t.Context(), rec.ID)
			if err != nil || again.State != Canceled {
				t.Fatal(again, err)
			}
		})
	}
}

// A cancel that was accepted is kept, even by a step that does not listen.
func TestCancelOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		deaf := func(context.Context, Report) error { time.Sleep(time.Minute); return nil }
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", deaf)}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		if _, err := r.Cancel(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
		if end := r.end(t, rec.ID); end.State != Canceled || tr.String() != "+a -a" {
			t.Fatal(end.State, &tr)
		}
	})
}

func TestUndoFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		b := tr.step("b", sleep)
		b.Undo = func(ctx context.Context) error { <-ctx.Done(); return errors.New("it is stuck") }
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", nil), b}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		if _, err := r.Cancel(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
		end := r.end(t, rec.ID)
		if end.State != Failed || !strings.Contains(end.Error.Message, "b: it is stuck") || tr.String() != "+a +b -a" {
			t.Fatalf("%+v %s", end.Error, &tr)
		}
		if end.Steps[1].State == StepUndone || end.EndedAt.Sub(end.StartedAt) != 2*time.Minute+time.Second {
			t.Fatalf("%+v", end)
		}
	})
}

func TestBusyAndPreempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{
			"start": {Steps: []Step{tr.step("start", sleep)}},
			"kill":  {Steps: []Step{tr.step("kill", nil)}},
		})
		start := r.begin(t, Request{Kind: "start", Target: "x"})
		time.Sleep(time.Second)
		_, err := r.Begin(t.Context(), Request{Kind: "kill", Target: "x"})
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Busy || f.Operation != start.ID {
			t.Fatal(err)
		}
		if all, err := r.List(t.Context(), true); err != nil || len(all) != 1 {
			t.Fatal("a refused operation was stored", all, err)
		}
		kill := r.begin(t, Request{Kind: "kill", Target: "x", Preempt: true})
		if end := r.end(t, kill.ID); end.State != Succeeded || tr.String() != "+start -start +kill" {
			t.Fatal(end.State, &tr)
		}
		if end := r.end(t, start.ID); end.State != Canceled {
			t.Fatal(end.State)
		}
	})
}

func TestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{
			"k": {Steps: []Step{tr.step("a", sleep)}}, "other": {},
		})
		req := Request{Kind: "k", Target: "x", Key: "once"}
		rec := r.begin(t, req)
		for _, target := range []string{"x", "y"} { // while it runs, and for another made-up target
			if again := r.begin(t, Request{Kind: "k", Target: target, Key: "once"}); again.ID != rec.ID {
				t.Fatal(again)
			}
		}
		if other := r.begin(t, Request{Kind: "other", Target: "z", Key: "once"}); other.ID == rec.ID {
			t.Fatal("another kind has the same key")
		}
		r.end(t, rec.ID)
		req.Preempt = true
		if again := r.begin(t, req); again.ID != rec.ID || again.State != Succeeded || tr.String() != "+a" {
			t.Fatal(again, &tr)
		}
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", func(_ context.Context, report Report) error {
			for i := range 5000 {
				report(Progress{Phase: "copying", Done: int64(i), Total: 5000, Unit: "bytes"})
				time.Sleep(time.Millisecond)
			}
			return nil
		})}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		changes := 0
		for !rec.State.Final() {
			var err error
			if rec, err = r.Changed(t.Context(), rec.ID, time.Minute); err != nil {
				t.Fatal(err)
			}
			changes++
		}
		synctest.Wait()
		progress := 0
		for _, e := range r.events.all() {
			if e.Type == "op.progress" {
				progress++
				if !e.Transient || e.Data.(Record).ID != rec.ID {
					t.Fatalf("%+v", e)
				}
			}
		}
		if progress < 45 || progress > 55 || changes < 45 || changes > 55 {
			t.Fatal(progress, changes)
		}
		// Nothing new: it answers after the wait; ended: at once.
		begin := time.Now()
		if end, err := r.Changed(t.Context(), rec.ID, time.Minute); err != nil || end.State != Succeeded || time.Since(begin) != 0 {
			t.Fatal(end.State, err)
		}
	})
}

func TestChangedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", sleep)}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		begin := time.Now()
		if now, err := r.Changed(t.Context(), rec.ID[:6], 5*time.Second); err != nil || now.State != Running || time.Since(begin) != 5*time.Second {
			t.Fatal(now.State, err, time.Since(begin))
		}
		begin = time.Now()
		if now, err := r.Ended(t.Context(), rec.ID, 5*time.Second); err != nil || now.State != Running || time.Since(begin) != 5*time.Second {
			t.Fatal(now.State, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if now, err := r.Wait(ctx, rec.ID); !errors.Is(err, context.DeadlineExceeded) || now.ID != rec.ID {
			t.Fatal(now, err)
		}
		r.end(t, rec.ID)
		if _, err := r.Wait(t.Context(), "none"); fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
	})
}

func TestUnknownKind(t *testing.T) {
	r := newRig(t, newJournal(), nil)
	if _, err := r.Begin(t.Context(), Request{Kind: "k", Target: "x"}); err == nil || r.journal.writes != 0 {
		t.Fatal(err)
	}
	if _, held := r.claims.Holder("x"); held {
		t.Fatal("held")
	}
}

// A journal that cannot be written fails what begins, and what runs is undone.
func TestJournalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		full := errors.New("no space")
		j := newJournal()
		r := newRig(t, j, map[string]Plan{"k": {Steps: []Step{tr.step("a", sleep), tr.step("b", nil)}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		time.Sleep(time.Second)
		j.setWrite(func(func()) error { return full })
		if _, err := r.Begin(t.Context(), Request{Kind: "k", Target: "y"}); !errors.Is(err, full) {
			t.Fatal(err)
		}
		if _, held := r.claims.Holder("y"); held {
			t.Fatal("held")
		}
		end, err := r.Wait(t.Context(), rec.ID)
		if err != nil || end.State != Failed || tr.String() != "+a -a" {
			t.Fatal(end.State, err, &tr)
		}
		if again, err := r.Get(t.Context(), rec.ID); err != nil || again.State != Failed {
			t.Fatal("an end that could not be stored is forgotten", again.State, err)
		}
	})
}

func TestEventData(t *testing.T) {
	raw, err := json.Marshal(Record{ID: "aa", State: Failed, Error: &fault.Error{Kind: fault.Busy}})
	if err != nil {
		t.Fatal(err)
	}
	if rec, ok := EventData("op.finished", raw).(Record); !ok || rec.ID != "aa" || rec.Error.Kind != fault.Busy {
		t.Fatal(rec)
	}
	for _, bad := range []string{"", "{}", "[]", "nonsense"} {
		if got := EventData("op.finished", []byte(bad)); got != nil {
			t.Fatal(got)
		}
	}
}

func TestListShowsLiveProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", func(ctx context.Context, report Report) error {
			report(Progress{Phase: "deep in it"})
			return sleep(ctx, report)
		})}}})
		rec := r.begin(t, Request{Kind: "k", Target: "x"})
		synctest.Wait()
		list, err := r.List(t.Context(), false)
		if err != nil || len(list) != 1 || list[0].Progress.Phase != "deep in it" {
			t.Fatal(list, err)
		}
		list[0].Steps[0].Name = "changed by the caller"
		if got, err := r.Get(t.Context(), rec.ID); err != nil || !slices.Equal(got.Steps, rec.Steps) {
			t.Fatal(got, err)
		}
		r.end(t, rec.ID)
	})
}

// What a Keep step made stays: only what came after it is taken back.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		kept := tr.step("b", nil)
		kept.Keep = true
		r := newRig(t, newJournal(), map[string]Plan{"k": {
			Steps: []Step{tr.step("a", nil), kept, tr.step("c", nil), tr.step("d", fail)},
		}})
		end := r.end(t, r.begin(t, Request{Kind: "k", Target: "x"}).ID)
		if end.State != Failed || tr.String() != "+a +b +c +d -d -c" {
			t.Fatalf("%s: %s", end.State, &tr)
		}
		if s := end.Steps; s[0].State != StepDone || s[1].State != StepDone || s[2].State != StepUndone {
			t.Fatalf("%+v", s)
		}
	})
}

// From a Final step on a cancel is refused and the operation goes on.
func TestFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		final := tr.step("b", sleep)
		final.Final = true
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", nil), final, tr.step("c", nil)}}})
		id := r.begin(t, Request{Kind: "k", Target: "x"}).ID
		synctest.Wait()
		if _, err := r.Cancel(t.Context(), id); fault.KindOf(err) != fault.Precondition {
			t.Errorf("a cancel in a step of no return: %v", err)
		}
		if end := r.end(t, id); end.State != Succeeded || tr.String() != "+a +b +c" {
			t.Fatalf("%s: %s", end.State, &tr)
		}
	})
}

// Where a Final step is kept too, a cancel takes back what comes after it, and
// is refused only while it runs.
func TestFinalThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		final := tr.step("b", sleep)
		final.Final, final.Keep = true, true
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{tr.step("a", nil), final, tr.step("c", sleep)}}})
		id := r.begin(t, Request{Kind: "k", Target: "x"}).ID
		for tr.String() != "+a +b +c" {
			time.Sleep(10 * time.Millisecond)
		}
		if _, err := r.Cancel(t.Context(), id); err != nil {
			t.Errorf("a cancel after it: %v", err)
		}
		if end := r.end(t, id); end.State != Canceled || tr.String() != "+a +b +c -c" {
			t.Fatalf("%s: %s", end.State, &tr)
		}
	})
}

// holder is a log that keeps whoever says something waiting.
type holder struct {
	slog.Handler
	at   string
	held chan struct{}
}

func (h holder) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.at {
		<-h.held
	}
	return nil
}
func (holder) Enabled(context.Context, slog.Level) bool { return true }
func (h holder) WithAttrs([]slog.Attr) slog.Handler     { return h }

// A cancel that is accepted just before a Final step keeps it from beginning,
// although the steps' context is not done yet.
func TestCancelJustBeforeFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		goOn := make(chan struct{})
		first := tr.step("a", func(context.Context, Report) error { <-goOn; return nil })
		final := tr.step("b", nil)
		final.Final = true
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{first, final}}})
		log := holder{slog.DiscardHandler, "cancelling", make(chan struct{})}
		r.log = slog.New(log)
		id := r.begin(t, Request{Kind: "k", Target: "x"}).ID
		synctest.Wait()
		go func() {
			if _, err := r.Cancel(t.Context(), id); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // it is accepted, and has interrupted nothing yet
		close(goOn)
		synctest.Wait()
		close(log.held)
		if end := r.end(t, id); end.State != Canceled || tr.String() != "+a -a" {
			t.Fatalf("%s: %s", end.State, &tr)
		}
	})
}

// A cancel that comes in a step of no return whose end leaves something to be
// cancelled is not forgotten: it counts from the end of that step on.
func TestCancelWaitsForAFinalStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr trace
		final := tr.step("b", sleep)
		final.Final, final.Keep = true, true
		hang := tr.step("c", func(ctx context.Context, _ Report) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		r := newRig(t, newJournal(), map[string]Plan{"k": {Steps: []Step{final, hang}}, "kill": {Steps: []Step{tr.step("kill", nil)}}})
		held := r.begin(t, Request{Kind: "k", Target: "x"})
		synctest.Wait()
		begin := time.Now()
		rec, err := r.Begin(t.Context(), Request{Kind: "kill", Target: "x", Preempt: true})
		if err != nil || time.Since(begin) > time.Minute {
			t.Fatalf("%v after %v: %s", err, time.Since(begin), tr.String())
		}
		r.end(t, rec.ID)
		if rec = r.end(t, held.ID); rec.State != Canceled || rec.Steps[0].State != StepDone || rec.Steps[1].State != StepPending {
			t.Errorf("%+v", rec)
		}
	})
}

package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// memory is a Keeper whose writes can fail.
type memory struct {
	mu     sync.Mutex
	events []Kept
	mark   Mark
	fail   error
	writes int
}

func newMemory() *memory { return &memory{mark: Mark{Clean: true}} }

func (m *memory) EventMark(context.Context) (Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark, nil
}

func (m *memory) SaveEvents(_ context.Context, events []Kept, mark Mark, keep int) (Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return Mark{}, m.fail
	}
	m.writes++
	m.events = append(m.events, events...)
	if n := len(m.events) - keep; n > 0 {
		mark.Gap = max(mark.Gap, m.events[n-1].Seq)
		m.events = slices.Delete(m.events, 0, n)
	}
	m.mark = mark
	return mark, nil
}

func (m *memory) EventsAfter(_ context.Context, after, before uint64, target string, limit int) (found []Kept, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Seq > after && e.Seq < before && (target == "" || e.Target == target) && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, nil
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) counts() (writes, events int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes, len(m.events)
}

func openLog(t testing.TB, m *memory, cfg Config) *Log {
	t.Helper()
	l, err := Open(t.Context(), m, slog.New(slog.DiscardHandler), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func since(t testing.TB, l *Log, seq int64, target string) ([]Event, uint64, bool) {
	t.Helper()
	events, last, gap, err := l.Since(t.Context(), seq, target, 0)
	if err != nil {
		t.Fatal(err)
	}
	return events, last, gap
}

func TestSinceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, newMemory(), Config{})
		defer closeLog(t, l)
		time.AfterFunc(time.Second, func() { l.Publish(Event{Type: "other", Target: "vm/b"}) })
		time.AfterFunc(2*time.Second, func() { l.Publish(Event{Type: "mine", Target: "vm/a"}) })
		begin := time.Now()
		events, last, gap, err := l.Since(t.Context(), 0, "vm/a", time.Minute)
		if err != nil || gap || last != 2 || len(events) != 1 || events[0].Type != "mine" || events[0].Seq != 2 || time.Since(begin) != 2*time.Second {
			t.Fatal(events, last, gap, err, time.Since(begin))
		}
		if events, last, _, err = l.Since(t.Context(), 2, "", time.Minute); err != nil || len(events) != 0 || last != 2 || time.Since(begin) != 62*time.Second {
			t.Fatal(events, last, err, time.Since(begin))
		}
		if events, last, _ = since(t, l, -1, ""); len(events) != 0 || last != 2 {
			t.Fatal(events, last)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, _, err := l.Since(ctx, 2, "", time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		decode := func(kind string, data json.RawMessage) any { return kind + string(data) }
		l := openLog(t, m, Config{})
		l.Publish(Event{Type: "a", Data: 7})
		l.Publish(Event{Type: "progress", Transient: true})
		l.Publish(Event{Type: "b"})
		closeLog(t, l)
		l.Publish(Event{Type: "after close"}) // lost, and gives no number

		l = openLog(t, m, Config{Decode: decode})
		l.Publish(Event{Type: "c", Data: 8})
		events, last, gap := since(t, l, 0, "")
		if gap || last != 4 || len(events) != 3 || events[0].Data != "a7" || events[1].Seq != 3 || events[1].Data != nil || events[2].Data != 8 {
			t.Fatal(events, last, gap)
		}
		closeLog(t, l)
	})
}

// A crash loses what was not stored, gives no number twice, and says so.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := openLog(t, m, Config{})
		l.Publish(Event{Type: "stored"})
		time.Sleep(time.Second)
		m.setFail(errors.New("killed"))
		l.Publish(Event{Type: "lost"})
		lost := l.last
		time.Sleep(time.Second)
		l.closer.Do(func() { close(l.stop) })
		<-l.ended
		m.setFail(nil)

		l = openLog(t, m, Config{})
		defer closeLog(t, l)
		l.Publish(Event{Type: "next"})
		events, last, gap := since(t, l, 0, "")
		if !gap || len(events) != 2 || events[0].Type != "stored" || last <= lost {
			t.Fatal(events, last, gap, lost)
		}
		if _, _, gap := since(t, l, int64(last)-1, ""); gap {
			t.Fatal("a gap is told to those who have missed nothing")
		}
	})
}

// While nothing can be stored, numbers run out rather than be given twice;
// Publish never blocks; and all is well once it can.
func TestStoreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := openLog(t, m, Config{Recent: 10})
		m.setFail(errors.New("no space"))
		for range block + 100 {
			l.Publish(Event{Type: "x"})
		}
		_, last, _ := since(t, l, -1, "")
		if last != block || l.dropped != 100 {
			t.Fatal(last, l.dropped)
		}
		m.setFail(nil)
		time.Sleep(3 * time.Second)
		l.Publish(Event{Type: "y"})
		events, last, gap := since(t, l, block-1, "")
		if !gap || last != block+1 || len(events) != 2 || events[1].Type != "y" {
			t.Fatal(events, last, gap)
		}
		if l.dropped != 0 {
			t.Fatal(l.dropped)
		}
		closeLog(t, l)
		if len(m.events) != block+1 {
			t.Fatal(len(m.events))
		}
	})
}

func TestBatchesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := openLog(t, m, Config{})
		for range 500 {
			l.Publish(Event{Type: "x"})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		before, kept := m.counts()
		if before > 15 || kept != 500 {
			t.Fatal(before, kept)
		}
		for range 500 {
			l.Publish(Event{Type: "progress", Transient: true})
		}
		time.Sleep(time.Second)
		if after, _ := m.counts(); after != before {
			t.Fatal("transient events were written")
		}
		closeLog(t, l)
	})
}

// A watcher that follows the stream in any steps, over restarts and crashes,
// sees every number it was promised once and in order, or is told of a gap.
func TestFollow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"publish", "publish", "burst", "watch", "sleep", "restart", "crash"}), 1, 40).Draw(rt, "steps")
		target := rapid.SampledFrom([]string{"", "t0"}).Draw(rt, "target")
		synctest.Test(t, func(t *testing.T) {
			m, cfg := newMemory(), Config{Keep: 50, Recent: 8}
			l := openLog(t, m, cfg)
			var sent []Event // of the target, since the last gap
			at, n := uint64(0), 0
			publish := func() {
				l.Publish(Event{Type: fmt.Sprint(n), Target: fmt.Sprint("t", n%2)})
				if target == "" || n%2 == 0 {
					sent = append(sent, Event{Seq: l.last, Type: fmt.Sprint(n)})
				}
				n++
			}
			for _, step := range append(steps, "watch") {
				switch step {
				case "publish":
					publish()
				case "burst":
					for range 30 {
						publish()
					}
				case "sleep":
					time.Sleep(time.Second)
				case "restart", "crash":
					if step == "restart" {
						closeLog(t, l)
					} else {
						l.closer.Do(func() { close(l.stop) })
						<-l.ended
					}
					l = openLog(t, m, cfg)
				case "watch":
					got, last, gap := since(t, l, int64(at), target)
					i := slices.IndexFunc(sent, func(e Event) bool { return e.Seq > at })
					if i < 0 {
						i = len(sent)
					}
					if !gap && len(got) != len(sent)-i {
						t.Fatalf("after %d: got %d events of %d, and no gap", at, len(got), len(sent)-i)
					}
					for j, e := range got {
						if e.Seq <= at || j > 0 && e.Seq <= got[j-1].Seq {
							t.Fatalf("%d is out of order", e.Seq)
						}
						if !slices.ContainsFunc(sent, func(s Event) bool { return s.Seq == e.Seq && s.Type == e.Type }) {
							t.Fatalf("event %d %q was never sent", e.Seq, e.Type)
						}
					}
					at = last
				}
			}
			closeLog(t, l)
		})
	})
}

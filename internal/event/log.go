package event

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"time"
)

// Config is what a Log is told besides its dependencies; zero values take the
// defaults.
type Config struct {
	Now    func() time.Time
	Keep   int // events kept over restarts; default 10,000
	Recent int // events in memory; default 1,000
	// Decode turns the data of a kept event into what was published; by
	// default it stays a json.RawMessage.
	Decode func(eventType string, data json.RawMessage) any
}

const (
	maxBatch = 1000 // events that Since returns at once
	block    = 8192 // numbers reserved ahead
	// gather is how long the writer waits for more events before it stores
	// them; a crash loses no more than these, and the Mark tells.
	gather = 50 * time.Millisecond
	again  = time.Second // after a write that failed
)

// Log numbers events, keeps them and hands them out.
type Log struct {
	keeper Keeper
	log    *slog.Logger
	cfg    Config

	work   chan struct{} // holds one: there is something to store
	stop   chan struct{}
	ended  chan struct{}
	closer sync.Once

	mu      sync.Mutex // leaf
	recent  []Event    // ascending; events that are not stored yet are here too
	last    uint64     // the newest number given
	stored  uint64     // all up to here are kept
	mark    Mark
	dropped int
	changed chan struct{}
}

// Open goes on where the last Log over the same keeper stopped.
func Open(ctx context.Context, k Keeper, log *slog.Logger, cfg Config) (*Log, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Keep == 0 {
		cfg.Keep = 10_000
	}
	if cfg.Recent == 0 {
		cfg.Recent = 1000
	}
	if cfg.Decode == nil {
		cfg.Decode = func(_ string, data json.RawMessage) any { return data }
	}
	mark, err := k.EventMark(ctx)
	if err != nil {
		return nil, fmt.Errorf("the event log could not be opened: %w", err)
	}
	l := &Log{
		keeper: k, log: log, cfg: cfg, last: mark.Reserved, stored: mark.Reserved,
		work: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		changed: make(chan struct{}),
	}
	if !mark.Clean {
		mark.Gap = max(mark.Gap, mark.Reserved) // the last events before a crash may be lost
	}
	mark.Reserved, mark.Clean = mark.Reserved+block, false
	if l.mark, err = k.SaveEvents(ctx, nil, mark, cfg.Keep); err != nil {
		return nil, fmt.Errorf("the event log could not be opened: %w", err)
	}
	go l.write()
	return l, nil
}

// Publish numbers an event and hands it to all watchers. It never blocks.
func (l *Log) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = l.cfg.Now()
	}
	l.mu.Lock()
	if l.last >= l.mark.Reserved { // the store has not answered for long: no number is given twice
		l.dropped++
		l.mark.Gap = max(l.mark.Gap, l.last)
		l.mu.Unlock()
		return
	}
	l.last++
	e.Seq = l.last
	l.recent = append(l.recent, e)
	l.forget()
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	select {
	case l.work <- struct{}{}:
	default:
	}
}

// forget drops all but the recent events from memory, once they are stored;
// so memory holds at most block events more than it should.
func (l *Log) forget() {
	n := len(l.recent) - l.cfg.Recent
	if n >= l.cfg.Recent && l.recent[n-1].Seq <= l.stored {
		l.recent = append(make([]Event, 0, 2*l.cfg.Recent), l.recent[n:]...)
	}
}

// Since returns events after seq, oldest first and at most 1,000: at once if
// there are any, else as soon as there is one, or none after wait. Target ""
// is any. last is the newest number there is; gap says that events after seq
// are no longer there. A negative seq answers at once, with last alone.
func (l *Log) Since(ctx context.Context, seq int64, target string, wait time.Duration) (events []Event, last uint64, gap bool, err error) {
	if seq < 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, l.last, false, nil
	}
	after := uint64(seq)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		v := l.look(after, target)
		gap = gap || v.gap
		if after < v.from {
			old, err := l.keeper.EventsAfter(ctx, after, v.from+1, target, maxBatch)
			if err != nil {
				return nil, v.last, gap, fmt.Errorf("old events could not be read: %w", err)
			}
			v.events = append(l.decode(old), v.events...)
		}
		if len(v.events) > 0 {
			return v.events[:min(len(v.events), maxBatch)], v.last, gap, nil
		}
		select {
		case <-v.changed:
			after = max(after, v.last) // nothing of interest up to there
		case <-timeout.C:
			return nil, v.last, gap, nil
		case <-ctx.Done():
			return nil, v.last, gap, ctx.Err()
		}
	}
}

// view is what memory knows about the events after a number.
type view struct {
	events  []Event
	from    uint64 // events up to this number are not in memory
	last    uint64
	gap     bool
	changed <-chan struct{}
}

func (l *Log) look(after uint64, target string) view {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := view{from: l.last, last: l.last, gap: after < l.mark.Gap, changed: l.changed}
	if len(l.recent) > 0 {
		v.from = l.recent[0].Seq - 1
	}
	i := sort.Search(len(l.recent), func(i int) bool { return l.recent[i].Seq > after })
	for _, e := range l.recent[i:] {
		if target == "" || e.Target == target {
			v.events = append(v.events, e)
		}
	}
	return v
}

func (l *Log) decode(kept []Kept) []Event {
	events := make([]Event, len(kept))
	for i, k := range kept {
		events[i] = k.Event
		if k.Data != nil {
			events[i].Data = l.cfg.Decode(k.Type, k.Data)
		}
	}
	return events
}

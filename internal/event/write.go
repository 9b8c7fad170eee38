package event

import (
	"context"
	"encoding/json"
	"time"
)

// Close stores what is left; events published after it are lost.
func (l *Log) Close(ctx context.Context) error {
	l.closer.Do(func() { close(l.stop) })
	select {
	case <-l.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return l.save(ctx, true)
}

// write stores events behind the publishers' backs, several at once.
func (l *Log) write() {
	defer close(l.ended)
	pause := gather
	for {
		select {
		case <-l.work:
		case <-l.stop:
			return
		}
		select {
		case <-time.After(pause):
		case <-l.stop:
			return
		}
		pause = gather
		if err := l.save(context.Background(), false); err != nil {
			l.log.Error("events could not be stored", "err", err)
			pause = again
			select {
			case l.work <- struct{}{}:
			default:
			}
		}
	}
}

// save stores the events that are not stored yet, and reserves numbers; a
// clean one gives back those that were not used.
func (l *Log) save(ctx context.Context, clean bool) error {
	l.mu.Lock()
	var batch []Event
	for _, e := range l.recent {
		if e.Seq > l.stored && !e.Transient {
			batch = append(batch, e)
		}
	}
	upTo, mark, dropped := l.last, l.mark, l.dropped
	mark.Reserved, mark.Clean = upTo+block, clean
	if clean {
		mark.Reserved = upTo
		l.mark.Reserved = upTo // nothing is numbered from now on
	}
	spare := l.mark.Reserved - upTo
	l.mu.Unlock()
	if len(batch) == 0 && spare > block/2 && !clean {
		return nil
	}
	mark, err := l.keeper.SaveEvents(ctx, l.encode(batch), mark, l.cfg.Keep)
	if err != nil {
		return err
	}
	if dropped > 0 {
		l.log.Error("events were dropped while they could not be stored", "count", dropped)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = upTo
	l.dropped -= dropped
	l.mark.Reserved = max(l.mark.Reserved, mark.Reserved)
	l.mark.Gap = max(l.mark.Gap, mark.Gap)
	return nil
}

func (l *Log) encode(events []Event) []Kept {
	kept := make([]Kept, len(events))
	for i, e := range events {
		kept[i].Event = e
		if e.Data == nil {
			continue
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			l.log.Error("the data of an event could not be encoded", "type", e.Type, "err", err)
			continue
		}
		kept[i].Data = data
	}
	return kept
}

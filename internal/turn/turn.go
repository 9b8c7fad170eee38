// Package turn lets one at a time do something to each of many things, and the
// others wait for that, as long as they care to.
package turn

import (
	"context"
	"sync"
)

// Set is the turns at things, by their names; the zero value is ready. Its mutex
// is a leaf.
type Set struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when the turn is over
}

// Take waits for the turn at key, or for ctx's end. What whoever had it before
// did may have been the same.
func (s *Set) Take(ctx context.Context, key string) (release func(), err error) {
	for {
		s.mu.Lock()
		other := s.taken[key]
		if other == nil {
			if s.taken == nil {
				s.taken = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			s.taken[key] = mine
			s.mu.Unlock()
			return sync.OnceFunc(func() {
				s.mu.Lock()
				delete(s.taken, key)
				s.mu.Unlock()
				close(mine)
			}), nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

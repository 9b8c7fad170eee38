package agent

import (
	"context"
	"slices"
	"sync"

	"github.com/banger-vm/banger/internal/guest/wire"
)

const maxNotes = 16

// state is the agent's Hello and who watches it.
type state struct {
	mu       sync.Mutex
	hello    wire.Hello
	version  int           // grows with every change
	watchers map[int]int   // the version that each has sent, by its number
	next     int           // number of the next watcher
	changed  chan struct{} // closed and replaced with every change of the above
}

func newState(hello wire.Hello) *state {
	return &state{hello: hello, version: 1, watchers: map[int]int{}, changed: make(chan struct{})}
}

// get returns the Hello, its version, and what is closed when there is news.
func (s *state) get() (wire.Hello, int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hello
	h.Notes = slices.Clone(h.Notes)
	return h, s.version, s.changed
}

// update changes the Hello.
func (s *state) update(change func(*wire.Hello)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.hello)
	s.version++
	s.signal()
}

func (s *state) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// note adds a sentence for the host, once.
func (s *state) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hello.Notes) < maxNotes && !slices.Contains(s.hello.Notes, text) {
		s.hello.Notes = append(s.hello.Notes, text)
		s.version++
		s.signal()
	}
}

// watch registers a watcher; sent tells what it has sent, leave ends it.
func (s *state) watch() (sent func(version int), leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.watchers[id] = 0
	return func(version int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.watchers[id] = version
			s.signal()
		}, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.watchers, id)
			s.signal()
		}
}

// delivered waits until a watcher, and all that there are, have sent the
// present state, or ctx ends.
func (s *state) delivered(ctx context.Context) error {
	_, version, _ := s.get()
	for {
		s.mu.Lock()
		done, changed := len(s.watchers) > 0, s.changed
		for _, sent := range s.watchers {
			done = done && sent >= version
		}
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

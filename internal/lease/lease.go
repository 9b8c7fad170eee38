// Package lease keeps what several things stand on (an image, a kernel) from
// being deleted while one of them is made of it.
package lease

import (
	"sync"

	"github.com/banger-vm/banger/internal/fault"
)

// Leases are those on things of one kind. The zero value has none.
type Leases struct {
	mu       sync.Mutex // guards what follows
	holders  map[string]map[int]string
	next     int
	deleting map[string]bool
}

// Take leases the thing with that ID until release is called; holder and what
// (such as "image") are for people. It never waits: a thing that is being
// deleted is fault.Busy. Whoever takes it looks afterwards whether the thing is
// still there, as a deletion may have come before.
func (l *Leases) Take(id, what, holder string) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deleting[id] {
		return nil, fault.New(fault.Busy, "Try again in a moment.", "the %s %s is being deleted", what, id)
	}
	l.next++
	number := l.next
	if l.holders == nil {
		l.holders = map[string]map[int]string{}
	}
	if l.holders[id] == nil {
		l.holders[id] = map[int]string{}
	}
	l.holders[id][number] = holder
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.holders[id], number)
		if len(l.holders[id]) == 0 {
			delete(l.holders, id)
		}
	}, nil
}

// startDeleting keeps new leases away until stop is called, or names who holds
// one.
func (l *Leases) startDeleting(id string) (stop func(), holders []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.holders[id] {
		holders = append(holders, h)
	}
	if len(holders) > 0 {
		return nil, holders
	}
	if l.deleting == nil {
		l.deleting = map[string]bool{}
	}
	l.deleting[id] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.deleting, id)
	}, nil
}

// Package session is what commands, dialled connections and copies have in
// common: a stream to a client, over calls that come and go.
package session

import (
	"strings"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/stream"
)

// Session has one client at a time.
type Session struct {
	end         *stream.End
	orphanAfter time.Duration

	mu     sync.Mutex
	client *attachment
	orphan *time.Timer
}

// attachment is a client's call.
type attachment struct {
	conn *Conn
	gone chan struct{} // closed when it has let go of the session
}

// New makes a session; abandoned is called whenever it has had no client for
// that long.
func New(end *stream.End, orphanAfter time.Duration, abandoned func()) *Session {
	s := &Session{end: end, orphanAfter: orphanAfter}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orphan = time.AfterFunc(orphanAfter, func() { // its client may never come
		if !s.Attached() {
			abandoned()
		}
	})
	return s
}

// Attach serves a client until its call ends. It takes the place of the client
// before it.
func (s *Session) Attach(c *Conn, serve func() error) error {
	a := &attachment{conn: c, gone: make(chan struct{})}
	if old := s.enter(a); old != nil {
		old.conn.Close() // it only makes the old one's reads and writes end
		<-old.gone
	}
	defer s.leave(a)
	return serve()
}

func (s *Session) enter(a *attachment) (old *attachment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.client = s.client, a
	s.orphan.Stop()
	return old
}

func (s *Session) leave(a *attachment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == a {
		s.client = nil
		s.orphan.Reset(s.orphanAfter)
	}
	close(a.gone)
}

// Attached reports whether there is a client.
func (s *Session) Attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client != nil
}

// Dispose ends the stream.
func (s *Session) Dispose() {
	s.mu.Lock()
	s.orphan.Stop()
	s.mu.Unlock()
	s.end.Close(nil)
}

// Bounds of an ID.
const (
	MinID = 16
	MaxID = 64
)

// ValidID reports whether a client may give a session this ID.
func ValidID(id string) bool {
	return len(id) >= MinID && len(id) <= MaxID && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

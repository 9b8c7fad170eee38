// Package relay listens on the host's ends of a VM's forwards and carries their
// connections into the guest, by whatever dials there.
package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
)

// Conn is a connection into the guest. A read fails, instead of ending, where
// the connection broke; a write fails with syscall.EPIPE where nobody takes it.
type Conn interface {
	io.ReadWriteCloser // Close drops it, and what is under way in it
	CloseWrite() error
	// Wait waits, once both directions have ended, until the guest has all.
	Wait() error
}

// Dial connects to a port of the guest's loopback.
type Dial func(ctx context.Context, port int) (Conn, error)

// Config is what may differ. Zero values take the defaults.
type Config struct {
	MaxConns    int           // open at once, of all forwards: 512
	MaxAuto     int           // automatic forwards: 32
	DialTimeout time.Duration // of reaching the guest, which may be restarting: 45 s
	Retry       time.Duration // between two tries of a port that was in use: 1 s
	// Changed is told, one after another, what is listened on now; nil: nobody is.
	Changed func([]forward.Status)
}

// Set is the forwards of one VM.
type Set struct {
	dial Dial
	log  *slog.Logger
	cfg  Config

	life  context.Context // of the listeners and the connections
	end   context.CancelFunc
	slots chan struct{} // one held by each connection
	turn  chan struct{} // held by who changes what is listened on

	mu     sync.Mutex // leaf: guards what follows
	open   []*listening
	wanted []int     // the guest's ports that are to have automatic forwards
	warned time.Time // that there are too many connections
}

// listening is a forward with its listeners; all but the count is only changed
// by who has the turn, and under the mutex.
type listening struct {
	forward.Forward
	auto  bool
	port  int // 0: it waits for its port
	why   string
	on    []*net.TCPListener
	conns atomic.Int32
}

// New makes a Set without forwards.
func New(dial Dial, log *slog.Logger, cfg Config) *Set {
	for _, n := range []struct {
		v   *int
		def int
	}{{&cfg.MaxConns, 512}, {&cfg.MaxAuto, 32}} {
		if *n.v == 0 {
			*n.v = n.def
		}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&cfg.DialTimeout, 45 * time.Second}, {&cfg.Retry, time.Second}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	life, end := context.WithCancel(context.Background())
	return &Set{
		dial: dial, log: log, cfg: cfg, life: life, end: end,
		slots: make(chan struct{}, cfg.MaxConns), turn: make(chan struct{}, 1),
	}
}

// Close listens no more and drops all connections.
func (s *Set) Close() {
	s.turn <- struct{}{}
	defer s.pass()
	s.end()
	for _, l := range s.all() {
		l.close()
	}
}

// Status is what is listened on, with the connections there are.
func (s *Set) Status() []forward.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]forward.Status, len(s.open))
	for i, l := range s.open {
		all[i] = forward.Status{
			Forward: l.Forward, Port: l.port, Auto: l.auto, Error: l.why, Connections: int(l.conns.Load()),
		}
	}
	return all
}

func (s *Set) all() []*listening {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.open)
}

// take makes all what is listened on, closes what is not among it, and tells.
// The caller has the turn.
func (s *Set) take(all []*listening) {
	s.mu.Lock()
	old := s.open
	s.open = all
	s.mu.Unlock()
	for _, l := range old {
		if !slices.Contains(all, l) {
			l.close()
		}
	}
	s.tell()
}

// tell leaves the connections out: they come and go.
func (s *Set) tell() {
	if s.cfg.Changed == nil {
		return
	}
	all := s.Status()
	for i := range all {
		all[i].Connections = 0
	}
	s.cfg.Changed(all)
}

func (s *Set) pass() { <-s.turn }

// listen opens the port of a forward and accepts there.
func (s *Set) listen(f forward.Forward, auto bool, port int) (*listening, error) {
	asked := f
	asked.HostPort = port
	on, port, err := forward.Listen(asked)
	if err != nil {
		return nil, err
	}
	l := &listening{Forward: f, auto: auto, port: port, on: on}
	s.accept(l)
	return l, nil
}

func (s *Set) accept(l *listening) {
	for _, on := range l.on {
		go s.acceptOn(l, on)
	}
}

func (l *listening) close() {
	for _, on := range l.on {
		on.Close() // ends its accept; nothing was written to it
	}
}

// Replace makes these the forwards that were asked for, all of them or, where
// one's port cannot be opened, none. Connections of those that go stay.
func (s *Set) Replace(want []forward.Forward) error {
	s.turn <- struct{}{}
	defer s.pass()
	if s.life.Err() != nil {
		return fault.New(fault.Precondition, "", "the VM has ended")
	}
	have := s.all()
	next, fresh := make([]*listening, 0, len(want)), make([]*listening, 0, len(want))
	for _, f := range want {
		if at := slices.IndexFunc(have, func(l *listening) bool { return l.Forward == f && !l.auto }); at >= 0 {
			next = append(next, have[at])
			have = slices.Delete(have, at, at+1)
			continue
		}
		have = s.giveWay(have, f)
		l, err := s.listen(f, false, f.HostPort)
		if err != nil {
			for _, l := range fresh {
				l.close()
			}
			s.match()
			return err
		}
		next, fresh = append(next, l), append(fresh, l)
	}
	for _, l := range have {
		if l.auto {
			next = append(next, l)
		}
	}
	s.take(next)
	s.match()
	return nil
}

// giveWay ends the automatic forward that has the port of one that was asked for.
func (s *Set) giveWay(have []*listening, f forward.Forward) []*listening {
	return slices.DeleteFunc(have, func(l *listening) bool {
		at := forward.Forward{Address: l.Address, HostPort: l.port}
		if !l.auto || !at.Meets(f) {
			return false
		}
		s.take(slices.DeleteFunc(s.all(), func(o *listening) bool { return o == l }))
		return true
	})
}

// Restore opens again what an earlier Set of this VM had open. A port that is in
// use by now is tried again until it is not; an automatic one is given up.
func (s *Set) Restore(was []forward.Status) {
	s.turn <- struct{}{}
	defer s.pass()
	all := make([]*listening, 0, len(was))
	for _, st := range was {
		port := st.Port
		if port == 0 {
			port = st.HostPort
		}
		l, err := s.listen(st.Forward, st.Auto, port)
		if err != nil && st.Auto {
			continue // the guest's listeners tell it again
		}
		if err != nil {
			s.log.Warn("a forward waits for its port", "forward", st.String(), "err", err)
			l = &listening{Forward: st.Forward, why: err.Error()}
			go s.retry(l)
		}
		all = append(all, l)
	}
	s.take(all)
}

// retry opens a forward's port as soon as that is possible.
func (s *Set) retry(l *listening) {
	tick := time.NewTicker(s.cfg.Retry)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.life.Done():
			return
		}
		if s.retryOnce(l) {
			return
		}
	}
}

func (s *Set) retryOnce(l *listening) (over bool) {
	s.turn <- struct{}{}
	defer s.pass()
	if s.life.Err() != nil || !slices.Contains(s.all(), l) {
		return true
	}
	on, port, err := forward.Listen(l.Forward)
	if err != nil {
		return false
	}
	s.mu.Lock()
	l.on, l.port, l.why = on, port, ""
	s.mu.Unlock()
	s.accept(l)
	s.tell()
	return true
}

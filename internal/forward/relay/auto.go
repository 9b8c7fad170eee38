package relay

import (
	"errors"
	"slices"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
)

// firstAuto is the first port that automatic forwards lead to and listen on:
// those before are the system's, on either side.
const firstAuto = 1024

// Auto gives each of these ports of the guest an automatic forward on the
// host's loopback, of the same port where that is free, unless one that was
// asked for leads there, and ends the automatic forwards of all others.
func (s *Set) Auto(ports []int) {
	s.turn <- struct{}{}
	defer s.pass()
	s.mu.Lock()
	s.wanted = slices.Clone(ports)
	s.mu.Unlock()
	s.match()
}

// match brings the automatic forwards to what is wanted. The caller has the
// turn.
func (s *Set) match() {
	if s.life.Err() != nil {
		return
	}
	s.mu.Lock()
	wanted := slices.Clone(s.wanted)
	s.mu.Unlock()
	have := s.all()
	leads := func(port int, auto bool) bool {
		return slices.ContainsFunc(have, func(l *listening) bool { return l.GuestPort == port && l.auto == auto })
	}
	all := slices.DeleteFunc(slices.Clone(have), func(l *listening) bool {
		return l.auto && (!slices.Contains(wanted, l.GuestPort) || leads(l.GuestPort, false))
	})
	changed := len(all) != len(have)
	count := 0
	for _, l := range all {
		if l.auto {
			count++
		}
	}
	for _, port := range wanted {
		if port < firstAuto || leads(port, true) || leads(port, false) || count >= s.cfg.MaxAuto {
			continue
		}
		l, err := s.listenAuto(port)
		if err != nil {
			s.log.Warn("a port of the guest gets no automatic forward", "port", port, "err", err)
			continue
		}
		all, have, changed = append(all, l), append(have, l), true
		count++
	}
	if changed {
		s.take(all)
	}
}

// listenAuto opens the same port as the guest's, or any other.
func (s *Set) listenAuto(guest int) (*listening, error) {
	f := forward.Forward{GuestPort: guest}
	l, err := s.listen(f, true, guest)
	var busy *fault.Error
	if errors.As(err, &busy) && busy.Kind == fault.Busy {
		l, err = s.listen(f, true, 0)
	}
	return l, err
}

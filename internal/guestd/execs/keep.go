package execs

import "slices"

// evict forgets the n oldest ended executions that nobody is attached to.
func (s *Server) evict(n int) {
	for _, x := range s.idle(func(*execution) bool { return true }) {
		if n--; n < 0 {
			return
		}
		s.remove(x)
	}
}

// prune forgets the oldest ended detached executions beyond the number kept.
func (s *Server) prune() {
	kept := s.idle(func(x *execution) bool { return x.spec.Detached })
	for len(kept) > s.cfg.KeepDetached {
		s.remove(kept[0])
		kept = kept[1:]
	}
}

// idle lists the ended executions without a client, the oldest first.
func (s *Server) idle(match func(*execution) bool) []*execution {
	var idle []*execution
	for _, x := range s.all() {
		if match(x) && x.ended() && !x.session.Attached() {
			idle = append(idle, x)
		}
	}
	slices.SortFunc(idle, func(a, b *execution) int { return a.endTime().Compare(b.endTime()) })
	return idle
}

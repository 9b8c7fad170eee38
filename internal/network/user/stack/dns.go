package stack

import (
	"context"
	"time"
)

// answerQueries has this host's resolvers answer what the guest asks its
// gateway.
func (s *Stack) answerQueries(f *flow) {
	idle, cancel := context.WithCancel(s.ctx)
	defer cancel()
	late := time.AfterFunc(queryIdle, cancel)
	defer late.Stop()
	for {
		buf, n, ok := f.receive(idle.Done())
		if !ok {
			return
		}
		query := append([]byte(nil), buf[:n]...)
		buffers.Put(buf)
		late.Reset(queryIdle)
		if !s.answers.take() {
			continue // it asks again
		}
		s.work.Go(func() {
			defer s.answers.give()
			answer, err := s.cfg.Resolver.Exchange(s.ctx, query)
			if err != nil {
				s.log.Debug("a guest's query was not answered", "err", err)
				answer = failed(query)
			}
			if answer != nil {
				f.send(answer)
			}
		})
	}
}

// failed is the answer that nobody could tell (SERVFAIL), nil to what is no
// query.
func failed(query []byte) []byte {
	const header, response, recursion, servfail = 12, 0x80, 0x80, 2
	if len(query) < header || query[2]&response != 0 {
		return nil
	}
	query[2] |= response
	query[3] = recursion | servfail
	return query
}

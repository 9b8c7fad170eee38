package stack

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

// maxAttempts is how many of the last refusals are kept.
const maxAttempts = 8

// ledger counts what was refused.
type ledger struct {
	mu      sync.Mutex // guards the following
	counts  map[policy.Why]uint64
	last    []network.Attempt
	changed chan struct{} // closed and renewed when there is more
}

func newLedger() *ledger {
	return &ledger{counts: map[policy.Why]uint64{}, changed: make(chan struct{})}
}

// refuse notes that to was refused. There are no more reasons than ranges.
func (l *ledger) refuse(protocol string, to netip.AddrPort, why policy.Why) {
	text := to.String()
	if to.Port() == 0 {
		text = to.Addr().String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[why]++
	if len(l.last) == maxAttempts {
		l.last = slices.Delete(l.last, 0, 1)
	}
	l.last = append(l.last, network.Attempt{At: time.Now().UTC().Truncate(time.Second), Protocol: protocol, To: text, Why: string(why)})
	close(l.changed)
	l.changed = make(chan struct{})
}

// Report is what was refused so far.
func (s *Stack) Report() (network.Report, <-chan struct{}) {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	r := network.Report{Last: slices.Clone(l.last)}
	for why, n := range l.counts {
		r.Refused = append(r.Refused, network.Refused{Why: string(why), Count: n})
	}
	slices.SortFunc(r.Refused, func(a, b network.Refused) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Why, b.Why))
	})
	return r, l.changed
}

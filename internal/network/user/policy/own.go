package policy

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ownFor is how long a look at the interfaces holds.
const ownFor = time.Second

// OwnAddresses looks at this host's interfaces, at most once a second. Where
// that fails the last look holds.
func OwnAddresses(log *slog.Logger) func() ([]netip.Addr, error) {
	var mu sync.Mutex // guards the following
	var seen []netip.Addr
	var at time.Time
	return func() ([]netip.Addr, error) {
		mu.Lock()
		list, last := seen, at
		mu.Unlock()
		if time.Since(last) < ownFor {
			return list, nil
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			log.Warn("this host's own addresses are not known anew", "err", err)
			if last.IsZero() {
				return nil, err
			}
			return list, nil
		}
		list = nil
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, prefix.Addr().Unmap())
			}
		}
		mu.Lock()
		defer mu.Unlock()
		seen, at = list, time.Now()
		return list, nil
	}
}

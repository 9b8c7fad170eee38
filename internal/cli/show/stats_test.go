package show

import (
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

func TestShares(t *testing.T) {
	begin := time.Unix(100, 0)
	sample := func(after time.Duration, pid int, cpu, busy, up float64) api.VMStats {
		return api.VMStats{At: begin.Add(after), VMM: &api.ProcessStats{PID: pid, CPUMS: cpu}, Guest: &api.VMHealth{CPUs: 2, BusyMS: busy, UptimeMS: up}}
	}
	is := func(got *float64, want float64) bool { return got != nil && *got == want }
	first := sample(0, 7, 1000, 500, 10_000)
	if host, guest := Shares(first, sample(2*time.Second, 7, 3000, 1000, 12_000)); !is(host, 100) || !is(guest, 25) {
		t.Errorf("%v, %v", host, guest)
	}
	if host, guest := Shares(first, sample(2*time.Second, 8, 3000, 10, 20)); host != nil || guest != nil {
		t.Errorf("after a new start: %v, %v", host, guest)
	}
	if host, guest := Shares(first, sample(0, 7, 1000, 500, 10_000)); host != nil || guest != nil {
		t.Errorf("in no time: %v, %v", host, guest)
	}
	if host, guest := Shares(first, api.VMStats{}); host != nil || guest != nil {
		t.Errorf("of one that is gone: %v, %v", host, guest)
	}
	old := sample(time.Second, 7, 1000, 0, 11_000)
	old.Guest.CPUs = 0 // an agent that does not tell
	if host, guest := Shares(first, old); !is(host, 0) || guest != nil {
		t.Errorf("%v, %v", host, guest)
	}
}

// What a guest says of itself cannot steer the terminal, nor break the table.
func TestStatsOfAHostileGuest(t *testing.T) {
	var out strings.Builder
	err := Stats(&out, []Row{{VMStats: api.VMStats{Name: "a", Guest: &api.VMHealth{MemTotal: 1, MemAvail: 1 << 60}, Missing: []string{"\x1b[2J\nx"}}}})
	if err != nil || strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), "0 of 1") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

package monitor

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// cards is a machine, and a network, that only counts.
type cards struct {
	vmm.Machine
	opened, carried, closed int
	fail                    error // of the next links

	mu      sync.Mutex // guards the following
	report  network.Report
	changed chan struct{}
}

func (c *cards) Link(context.Context) (network.Link, error) {
	c.opened++
	return nil, c.fail
}

func (c *cards) Carry(ctx context.Context, _ network.Link) error {
	c.carried++
	if c.carried == 1 {
		return errors.New("the first link ends")
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (c *cards) Report() (network.Report, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report, c.changed
}

// refuse says that something was refused n times by now.
func (c *cards) refuse(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = network.Report{Refused: []network.Refused{{Why: "10.0.0.0/8", Count: n}}}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cards) Close() error { c.closed++; return nil }

func withCards(t *testing.T, c *cards) *Monitor {
	t.Helper()
	l := machine.Launch{Spec: vmm.Spec{Dir: t.TempDir(), Network: network.Attachment{Backend: network.BackendFrames, Driver: "counting"}}}
	m, err := newMonitor(l, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.console.Close() })
	m.networks = map[string]Carry{"counting": func(*slog.Logger, network.Attachment) (network.Carrier, error) { return c, nil }}
	return m
}

// A link that ends is opened again, with the connections of the guest where
// they were; what is refused is told, at most once a second.
func TestNetworkIsKept(t *testing.T) {
	c := &cards{}
	m := withCards(t, c)
	synctest.Test(t, func(t *testing.T) {
		c.changed = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.keepNetwork(ctx, c)
		}()
		time.Sleep(2 * firstRetry)
		synctest.Wait()
		if c.opened != 2 || c.carried != 2 || c.closed != 0 {
			t.Errorf("%d links were opened, %d carried, the network was closed %d times", c.opened, c.carried, c.closed)
		}
		s, _ := m.board.get()
		if s.Network != nil {
			t.Errorf("nothing is told as %+v", s.Network)
		}
		versions := s.Version
		for i := range 100 { // a guest that tries again and again
			c.refuse(uint64(i + 1))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(newsPause)
		synctest.Wait()
		s, _ = m.board.get()
		if s.Network == nil || s.Network.Refused[0].Count != 100 || s.Version-versions > 4 {
			t.Errorf("after two seconds: %+v, %d versions", s.Network, s.Version-versions)
		}
		cancel()
		<-done
		if c.closed != 1 {
			t.Errorf("the network was closed %d times", c.closed)
		}
		synctest.Wait()
	})
}

// What keeps a guest from its network is told, and it runs on.
func TestNoNetworkIsTold(t *testing.T) {
	m := withCards(t, &cards{})
	m.networks = nil
	m.keepNetwork(t.Context(), &cards{})
	if s, _ := m.board.get(); !strings.Contains(strings.Join(s.Reduced, " "), `no network "counting" in this build`) {
		t.Errorf("%q", s.Reduced)
	}
	m = withCards(t, &cards{})
	m.keepNetwork(t.Context(), struct{ vmm.Machine }{})
	if s, _ := m.board.get(); !strings.Contains(strings.Join(s.Reduced, " "), "hands over no frames") {
		t.Errorf("%q", s.Reduced)
	}
}

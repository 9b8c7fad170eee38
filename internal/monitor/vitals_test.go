package monitor

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
	"github.com/banger-vm/banger/test/guestrig"
)

// metered is a machine whose VMM counts, or hangs.
type metered struct {
	vmm.Machine
	hangs bool
}

func (m metered) Stats(ctx context.Context) (vmm.Stats, error) {
	if m.hangs {
		<-ctx.Done()
		return vmm.Stats{}, context.Cause(ctx)
	}
	return vmm.Stats{Drives: map[disk.Slot]vmm.DriveStats{"vdb": {Writes: 3}}}, nil
}

// answering is a monitor of a guest that is up, whose agent hangs once silent is set.
func answering(t *testing.T, mach vmm.Machine) (m *Monitor, silent *atomic.Bool) {
	t.Helper()
	l := machine.Launch{Spec: vmm.Spec{Name: "a", Dir: t.TempDir(), Network: network.Attachment{Backend: network.BackendFrames}}}
	m, err := newMonitor(l, fake.New(fake.NewHost()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.console.Close() })
	m.machine = mach
	m.board.update(func(s *machine.Status) { s.Phase, s.ReadyMS = machine.PhaseRunning, 5 })
	silent = new(atomic.Bool)
	m.agent = guestrig.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			<-r.Context().Done()
			return
		}
		var answer any = wire.Hello{Protocol: 1, Phase: wire.PhaseReady}
		if r.URL.Path == wire.PathHealth {
			answer = wire.Health{UptimeMS: 7, Execs: 2}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	return m, silent
}

var soon = control.WaitRequest{WaitMS: 50}

func TestVitals(t *testing.T) {
	m, silent := answering(t, metered{})
	long := control.WaitRequest{WaitMS: 10_000}
	if p, err := m.handlePing(t.Context(), long); err != nil || p.MS <= 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if h, err := m.handleHealth(t.Context(), long); err != nil || h.Execs != 2 {
		t.Errorf("%+v, %v", h, err)
	}
	c, err := m.handleCounts(t.Context(), long)
	if err != nil || c.VMM == nil || c.VMM.Drives["vdb"].Writes != 3 || c.Guest == nil || c.Guest.UptimeMS != 7 || c.Traffic == nil || len(c.Missing) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
	silent.Store(true)
	if _, err := m.handlePing(t.Context(), soon); fault.KindOf(err) != fault.Deadline || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("a silent agent: %v", err)
	}
	if _, err := m.handleHealth(t.Context(), soon); fault.KindOf(err) != fault.Deadline {
		t.Errorf("a silent agent: %v", err)
	}
}

// Of a machine of which a part hangs the rest is told, in time.
func TestCountsOfWhatHangs(t *testing.T) {
	m, silent := answering(t, metered{hangs: true})
	begin := time.Now()
	c, err := m.handleCounts(t.Context(), control.WaitRequest{WaitMS: 500})
	if err != nil || c.VMM != nil || c.Guest == nil || len(c.Missing) != 1 || !strings.Contains(c.Missing[0], "the VMM did not answer within 500ms") {
		t.Errorf("%+v, %v", c, err)
	}
	silent.Store(true)
	c, err = m.handleCounts(t.Context(), soon)
	if err != nil || c.VMM != nil || c.Guest != nil || len(c.Missing) != 2 || c.Traffic == nil {
		t.Errorf("%+v, %v", c, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A guest that cannot answer is not asked.
func TestGuestThatCannotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		status machine.Status
		kind   fault.Kind
	}{
		"booting": {machine.Status{Phase: machine.PhaseStarting}, fault.Unavailable},
		"paused":  {machine.Status{Phase: machine.PhasePaused, ReadyMS: 5}, fault.Precondition},
		"ended":   {machine.Status{Phase: machine.PhaseExited, ReadyMS: 5, Exit: &machine.Exit{}}, fault.Precondition},
	} {
		m, silent := answering(t, nil)
		silent.Store(true)
		m.board.update(func(s *machine.Status) {
			s.Phase, s.ReadyMS, s.Exit = test.status.Phase, test.status.ReadyMS, test.status.Exit
		})
		begin := time.Now()
		if _, err := m.handlePing(t.Context(), control.WaitRequest{WaitMS: 60_000}); fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := m.handleCounts(t.Context(), control.WaitRequest{WaitMS: 60_000}); err != nil || c.Guest != nil || len(c.Missing) != 1 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

package monitor

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
)

// forwarder is a monitor of a boot, for the VM in dir.
func forwarder(t *testing.T, dir, boot string, all ...forward.Forward) *Monitor {
	t.Helper()
	l := machine.Launch{VMID: "1", BootID: boot, Spec: vmm.Spec{Name: "a", Dir: dir}, Forwards: all}
	m, err := newMonitor(l, fake.New(fake.NewHost()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.life = t.Context()
	t.Cleanup(func() {
		m.forwards.Close()
		m.console.Close()
	})
	return m
}

func (m *Monitor) told() []forward.Status {
	s, _ := m.board.get()
	return s.Forwards
}

// The next monitor of a boot listens where the last one did; a next boot as it
// was asked.
func TestNextMonitorListensOn(t *testing.T) {
	dir := t.TempDir()
	first := forwarder(t, dir, "b1", forward.Forward{GuestPort: 80})
	if err := first.openForwards(false); err != nil {
		t.Fatal(err)
	}
	if _, err := first.handleForward(t.Context(), control.ForwardRequest{
		All: []forward.Forward{{GuestPort: 80}, {GuestPort: 81}}, Auto: true,
	}); err != nil {
		t.Fatal(err)
	}
	was := first.told()
	if len(was) != 2 || was[0].Port == 0 || was[1].Port == 0 {
		t.Fatalf("%+v", was)
	}
	first.forwards.Close() // as its death does
	second := forwarder(t, dir, "b1", forward.Forward{GuestPort: 80})
	if err := second.openForwards(true); err != nil || !slices.Equal(second.told(), was) || !second.auto.wanted {
		t.Errorf("%+v, %v, not %+v", second.told(), err, was)
	}
	second.forwards.Close()
	next := forwarder(t, dir, "b2", forward.Forward{GuestPort: 80})
	if err := next.openForwards(false); err != nil || len(next.told()) != 1 || next.auto.wanted {
		t.Errorf("%+v, %v", next.told(), err)
	}
	// One from before monitors had forwards, whose successor does what was asked for.
	next.forwards.Close()
	heir := forwarder(t, dir, "b3", forward.Forward{GuestPort: 82})
	if err := heir.openForwards(true); err != nil || len(heir.told()) != 1 || heir.told()[0].GuestPort != 82 || heir.told()[0].Port == 0 {
		t.Errorf("%+v, %v", heir.told(), err)
	}
}

// A port that cannot be opened keeps the VMM from starting; a VM that has ended
// holds none.
func TestPortsAndTheVM(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	m := forwarder(t, dir, "b1", forward.Forward{GuestPort: 1}, forward.Forward{HostPort: l.Addr().(*net.TCPAddr).Port, GuestPort: 80})
	unopened := m.openForwards(false)
	if fault.KindOf(unopened) != fault.Busy || len(m.told()) != 0 {
		t.Fatalf("%v, %+v", unopened, m.told())
	}
	if err := m.live(t.Context(), false, unopened); !errors.Is(err, unopened) {
		t.Error(err)
	}
	var x machine.Exit
	if err := jsonfile.Read(dir, control.ExitFile, &x); err != nil || x.Reason != machine.ExitStartFailed || !strings.Contains(x.Detail, "is in use") {
		t.Errorf("%+v, %v", x, err)
	}
	m = forwarder(t, dir, "b2", forward.Forward{GuestPort: 80})
	if err := m.openForwards(false); err != nil {
		t.Fatal(err)
	}
	at := m.told()[0].Open()
	if err := m.live(t.Context(), false, errors.New("it cannot start")); err == nil {
		t.Error("it is no error")
	}
	if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after its end: %v", err)
	}
}

// A change that fails changes nothing.
func TestForwardRefused(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	if err := m.openForwards(false); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := forward.Forward{HostPort: l.Addr().(*net.TCPAddr).Port, GuestPort: 80}
	if _, err := m.handleForward(t.Context(), control.ForwardRequest{All: []forward.Forward{busy}, Auto: true}); fault.KindOf(err) != fault.Busy {
		t.Error(err)
	}
	if m.auto.wanted || m.auto.stop != nil || len(m.told()) != 0 {
		t.Errorf("%+v, %v", m.told(), m.auto.wanted)
	}
}

// Only what a connection to the guest's loopback reaches is forwarded.
func TestReachable(t *testing.T) {
	got := reachable([]wire.Listening{
		{Network: "tcp", Address: "127.0.0.53", Port: 53},
		{Network: "udp", Address: "0.0.0.0", Port: 5353},
		{Network: "tcp", Address: "10.0.2.15", Port: 8000},
		{Network: "tcp", Address: "127.0.0.1", Port: 1},
		{Network: "tcp", Address: "::1", Port: 2},
		{Network: "tcp", Address: "0.0.0.0", Port: 3},
		{Network: "tcp", Address: "::", Port: 4},
	})
	if !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("%v", got)
	}
}

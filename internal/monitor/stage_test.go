package monitor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
)

// staging is a driver that has something to do before its monitor is confined.
type staging struct {
	*fake.Driver
	order *[]string
	err   error
}

func (d staging) Stage(context.Context, vmm.Spec) ([]string, error) {
	*d.order = append(*d.order, "stage")
	return []string{"/vmm"}, d.err
}

func (d staging) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	*d.order = append(*d.order, "start")
	return d.Driver.Start(ctx, spec)
}

func (d staging) Connect(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	*d.order = append(*d.order, "connect")
	return d.Driver.Connect(ctx, spec)
}

// A driver does what a confined process cannot before the monitor is one: once,
// however often the guest reboots.
func TestStageComesBeforeTheConfinement(t *testing.T) {
	host := fake.NewHost()
	spec := vmm.Spec{Name: "a", Dir: t.TempDir()}
	var order []string
	begin := func(adopt bool, times int, err error) (*Monitor, error) {
		t.Helper()
		order = nil
		m, merr := newMonitor(machine.Launch{VMID: "1", BootID: "b", Spec: spec}, staging{fake.New(host), &order, err}, slog.New(slog.DiscardHandler))
		if merr != nil {
			t.Fatal(merr)
		}
		t.Cleanup(func() { m.console.Close() })
		m.confine = func(programs []string) error {
			order = append(order, "confine but for "+strings.Join(programs, " "))
			return nil
		}
		for range times {
			mach, berr := m.begin(t.Context(), adopt)
			if berr != nil {
				return m, berr
			}
			if adopt {
				if err := mach.Kill(t.Context()); err != nil {
					t.Error(err)
				}
			} else if times > 1 { // the guest resets
				host.Guest(spec.Dir).Reset()
			}
			if err := mach.Close(); err != nil {
				t.Error(err)
			}
		}
		return m, nil
	}
	if _, err := begin(false, 2, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"stage", "confine but for /vmm", "start", "start"}; !slices.Equal(order, want) {
		t.Errorf("a start and a reboot: %q, want %q", order, want)
	}
	broken := errors.New("broken")
	if _, err := begin(false, 1, broken); !errors.Is(err, broken) || slices.Contains(order, "start") {
		t.Errorf("a stage that fails: %v, %q", err, order)
	}
	if _, err := begin(false, 1, nil); err != nil {
		t.Fatal(err)
	}
	m, err := begin(true, 1, broken) // the VMM runs: it is not let go for that
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"connect", "stage", "confine but for /vmm"}; !slices.Equal(order, want) {
		t.Errorf("an adoption: %q, want %q", order, want)
	}
	if s, _ := m.board.get(); len(s.Reduced) != 1 || !strings.Contains(s.Reduced[0], "broken") {
		t.Errorf("it tells %q", s.Reduced)
	}
}

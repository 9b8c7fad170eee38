package monitor

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
)

// A VMM that cannot see its guest's power-off is ended at once, any other has
// time to end by itself, and so has a reboot.
func TestGraceOfAHaltedGuest(t *testing.T) {
	for name, c := range map[string]struct {
		lingers bool
		halt    wire.Halt
		want    time.Duration
	}{
		"power-off":            {false, wire.HaltPoweroff, haltGrace},
		"power-off, lingering": {true, wire.HaltPoweroff, lingerGrace},
		"reboot, lingering":    {true, wire.HaltReboot, haltGrace},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				host := fake.NewHost()
				host.Lingers = c.lingers
				spec := vmm.Spec{Name: "a", Dir: dir}
				mach, err := fake.New(host).Start(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				defer mach.Close()
				l := machine.Launch{VMID: "1", BootID: "b", Spec: spec}
				m, err := newMonitor(l, fake.New(host), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				defer m.console.Close()
				m.machine = mach
				began := time.Now()
				if err := m.heard(t.Context(), wire.Hello{Phase: wire.PhaseHalted, Halt: c.halt}, began); err != nil {
					t.Fatal(err)
				}
				<-host.Guest(dir).Stopped()
				if took := time.Since(began); took != c.want {
					t.Errorf("the VMM was ended after %v, want %v", took, c.want)
				}
			})
		})
	}
}

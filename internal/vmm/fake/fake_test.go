package fake_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

func TestConformance(t *testing.T) {
	began := time.Now()
	host := fake.NewHost()
	host.Boot = func(g *fake.Guest) {
		_ = script.Console(g.Console()) // ends with the machine
	}
	host.Agent = func(g *fake.Guest, conn net.Conn) {
		_ = script.Serve(conn, script.Actions{ // ends with the connection
			Poweroff: g.Poweroff, Reset: g.Reset,
			Clock: func() time.Duration { return time.Since(began) },
			Write: func() {
				g.Count(vmm.Stats{Resident: 1, Drives: map[disk.Slot]vmm.DriveStats{
					disk.SlotWork: {Writes: 1, WrittenBytes: script.WriteSize},
				}})
				if g.Spec().Name == "full" {
					<-g.Pause(vmm.PauseNoSpace)
				}
			},
		})
	}
	spec := func(t *testing.T) vmm.Spec {
		dir := t.TempDir()
		kernel := filepath.Join(dir, "vmlinux")
		if err := os.WriteFile(kernel, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return vmm.Spec{Name: "t", Dir: dir, Kernel: kernel, Accel: vmm.AccelAuto}
	}
	vmmtest.Run(t, vmmtest.Harness{
		Name:        "fake",
		Driver:      func(*testing.T) vmm.Driver { return fake.New(host) },
		Spec:        spec,
		KillOutside: func(t *testing.T, f vmm.Facts) { host.ByPID(f.PID).Crash("killed") },
		Full: func(t *testing.T) (vmm.Spec, func()) {
			full := spec(t)
			full.Name = "full"
			return full, func() {}
		},
	})
}

func TestHookFailsAndBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		broken := errors.New("broken")
		host.Hook = func(ctx context.Context, at fake.Point, spec vmm.Spec) error {
			switch {
			case at == fake.AtStarted && spec.Name == "fails":
				return broken
			case at == fake.AtStart && spec.Name == "blocks":
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		d := fake.New(host)
		spec := vmm.Spec{Name: "fails", Dir: "/a"}
		if _, err := d.Start(t.Context(), spec); !errors.Is(err, broken) {
			t.Errorf("Start = %v", err)
		}
		if _, err := d.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
			t.Errorf("a failed Start leaves a machine: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { _, err := d.Start(ctx, vmm.Spec{Name: "blocks", Dir: "/b"}); done <- err }()
		synctest.Wait()
		cancel(broken)
		if err := <-done; !errors.Is(err, broken) {
			t.Errorf("a blocked Start = %v", err)
		}
	})
}

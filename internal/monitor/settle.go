package monitor

import (
	"context"
	"errors"
	"path/filepath"
	"runtime/debug"

	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/vmm"
)

// Settle puts VMMs of the VM in dir into a scope of their own, where systemd
// runs. The monitor does it, as a guest may reboot while there is no daemon.
func Settle(units control.Units, dir, name string) vmm.Settle {
	return func(ctx context.Context, pid int) error {
		if !units.Present() {
			return nil
		}
		err := units.Enclose(ctx, control.VMMScope(filepath.Base(dir), name, pid))
		go debug.FreeOSMemory() // many monitors wait side by side; D-Bus is not needed again for long
		if errors.Is(err, unit.ErrNone) {
			return nil
		}
		return err
	}
}

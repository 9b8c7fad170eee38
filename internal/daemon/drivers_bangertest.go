//go:build bangertest

package daemon

import (
	"log/slog"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// testDrivers are those of a daemon that is built for tests. Other VMMs are
// tried before them.
var testDrivers = []driver{{fakeproc.DriverName, func(log *slog.Logger, cfg driverConfig) vmm.Driver {
	return fakeproc.New(log, fakeproc.Config{Binary: cfg.binary, Settle: cfg.settle})
}}}

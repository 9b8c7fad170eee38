//go:build bangertest

package daemon

import (
	"log/slog"
	"os"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// hostBoot is this boot of the host, or another that a test plays.
func hostBoot() (string, error) {
	if boot := os.Getenv("BANGER_TEST_HOST_BOOT"); boot != "" {
		return boot, nil
	}
	return hostexec.BootID()
}

// testDrivers are those of a daemon that is built for tests. Other VMMs are
// tried before them.
var testDrivers = []driver{{fakeproc.DriverName, func(log *slog.Logger, cfg driverConfig) vmm.Driver {
	return fakeproc.New(log, fakeproc.Config{Binary: cfg.binary, Settle: cfg.settle})
}}}

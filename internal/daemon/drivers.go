//go:build !bangertest

package daemon

import "github.com/banger-vm/banger/internal/hostexec"

// hostBoot is this boot of the host.
var hostBoot = hostexec.BootID

// testDrivers are none in what users get.
var testDrivers []driver

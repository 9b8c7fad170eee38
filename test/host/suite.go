package main

import (
	"time"

	"github.com/banger-vm/banger/test/host/debian"
)

// Test is tests of one package, run in a host of their own. A new one is a
// line in the table, and what the line names.
type Test struct {
	Name    string // of its results, build/results/host-NAME.json
	Package string // in this module
	Run     string // go test -run
	Skip    string // go test -skip
	User    string // "" is root
	Timeout time.Duration
	Env     []string
}

// Tests that boot guests take several times as long here as on a real host.
var suite = []Test{
	{Name: "self-root", Package: "test/host/selftest", Run: "^TestReal(Root|Any)", Timeout: 3 * time.Minute},
	{Name: "self-user", Package: "test/host/selftest", Run: "^TestReal(User|Any)", User: debian.User, Timeout: 3 * time.Minute},
	{Name: "qemu-root", Package: "internal/vmm/qemu", Run: "^TestReal", Skip: "OfAHangingGuest$", Timeout: 8 * time.Minute},
	{Name: "unit-root", Package: "internal/unit", Run: "^TestReal", Timeout: 3 * time.Minute},
	{Name: "unit-user", Package: "internal/unit", Run: "^TestReal", User: debian.User, Timeout: 3 * time.Minute},
	{Name: "units", Package: "test/units", Run: "^TestReal", Timeout: 9 * time.Minute},
	{Name: "e2e-root", Package: "test/e2e", Run: "^Test(Run|Life|Identity|NoNetwork|DaemonStopLeavesVMs|VMMKilledFromOutside)$", Timeout: 8 * time.Minute},
}

// programs are built for the tests, as there is no Go in the host; a test
// finds each by the environment variable.
var programs = map[string]string{
	"BANGER_TEST_GUEST": "internal/vmm/vmmtest/lab/guest",
}

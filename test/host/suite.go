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
	Long    bool // not run unless its name is asked for
	Apps    bool // wants the image of test/apps
}

// Tests that boot guests take several times as long here as on a real host.
// Those that take longest come first, so that no host is left with one alone.
var suite = []Test{
	{
		Name: "programs-user", Package: "test/e2e", Run: "^TestLongPrograms$", Skip: "/Ansible", User: debian.User, Timeout: 40 * time.Minute,
		Env: []string{networkConfig}, Long: true, Apps: true,
	},
	{
		Name: "play-user", Package: "test/e2e", Run: "^TestLongPrograms$/Ansible", User: debian.User, Timeout: 40 * time.Minute,
		Env: []string{networkConfig}, Long: true, Apps: true,
	},
	{Name: "firecracker-root", Package: "internal/vmm/firecracker", Run: "^TestReal", Timeout: 20 * time.Minute},
	{Name: "units", Package: "test/units", Run: "^TestReal", Timeout: 12 * time.Minute},
	{
		Name: "snapshots-user", Package: "test/e2e", Run: "^TestSnapshotRounds$", User: debian.User, Timeout: 20 * time.Minute,
		Env: []string{"BANGER_TEST_STREAM_MB=20"},
	},
	{Name: "choose-user", Package: "test/e2e", Run: "^TestReal(Install|Choosing)$", User: debian.User, Timeout: 15 * time.Minute},
	{Name: "network-user", Package: "test/e2e", Run: "^TestNetwork$", User: debian.User, Timeout: 15 * time.Minute, Env: []string{networkConfig}},
	{Name: "self-root", Package: "test/host/selftest", Run: "^TestReal(Root|Any)", Timeout: 10 * time.Minute},
	{Name: "self-user", Package: "test/host/selftest", Run: "^TestReal(User|Any)", User: debian.User, Timeout: 10 * time.Minute},
	{Name: "unit-root", Package: "internal/unit", Run: "^TestReal", Timeout: 3 * time.Minute},
	{Name: "unit-user", Package: "internal/unit", Run: "^TestReal", User: debian.User, Timeout: 10 * time.Minute},
	{Name: "doctor", Package: "test/doctor", Run: "^TestReal$", Timeout: 20 * time.Minute, Long: true},
	{Name: "sessions-user", Package: "test/e2e", Run: "^Test(Console|Shell)$", User: debian.User, Timeout: 20 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{Name: "reach-user", Package: "test/e2e", Run: "^Test(Forward|SSH|LongSSHConfig|Doctor)$", User: debian.User, Timeout: 20 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{
		Name: "copies-user", Package: "test/e2e", Run: "^TestLongCopy$", User: debian.User, Timeout: 20 * time.Minute,
		Env: []string{firecrackerConfig, "BANGER_TEST_COPY_MB=10", "BANGER_TEST_COPY_FILES=1000"}, Long: true,
	},
	{Name: "kernels-user", Package: "test/e2e", Run: "^TestLongKernels$", User: debian.User, Timeout: 20 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{Name: "snapshots-200", Package: "test/e2e", Run: "^TestSnapshotRounds$", User: debian.User, Timeout: 45 * time.Minute, Long: true},
	{Name: "e2e-firecracker-user", Package: "test/e2e", Run: onFirecracker, User: debian.User, Timeout: 20 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{Name: "e2e-firecracker-identity", Package: "test/e2e", Run: "^TestIdentity$", User: debian.User, Timeout: 12 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{Name: "firecracker-user", Package: "internal/vmm/firecracker", Run: "^TestReal", User: debian.User, Timeout: 20 * time.Minute, Long: true},
	{Name: "e2e-firecracker-root", Package: "test/e2e", Run: "^Test(Run|Life|CopyDisk)$", Timeout: 10 * time.Minute, Env: []string{firecrackerConfig}, Long: true},
	{Name: "e2e-root", Package: "test/e2e", Run: "^Test(Run|Life|Identity|NoNetwork|DaemonStopLeavesVMs|VMMKilledFromOutside)$", Timeout: 15 * time.Minute, Long: true, Env: []string{qemuConfig}},
	// make faults: of programs that are built for it.
	{Name: "faults-boots", Package: "test/e2e", Run: faultTable + "/^(create|start|restart)$", User: debian.User, Timeout: 3 * time.Hour, Env: []string{networkConfig, "BANGER_FAULTS=1"}, Long: true},
	{Name: "faults-ends", Package: "test/e2e", Run: faultTable + "/^(stop|kill|delete)", User: debian.User, Timeout: 3 * time.Hour, Env: []string{networkConfig, "BANGER_FAULTS=1"}, Long: true},
	{Name: "faults-changes", Package: "test/e2e", Run: faultTable + "/^(pause|resume|rename|forward|set|reset)", User: debian.User, Timeout: 3 * time.Hour, Env: []string{networkConfig, "BANGER_FAULTS=1"}, Long: true},
	{Name: "qemu-root", Package: "internal/vmm/qemu", Run: "^TestReal", Skip: "OfAHangingGuest$", Timeout: 12 * time.Minute, Long: true},
}

// The end-to-end suite on Firecracker, as it is for QEMU: what does not take
// long where everything is emulated twice.
const (
	networkConfig     = "BANGER_TEST_CONFIG=vmm = \"firecracker\"\n" // with a network, the usual one
	qemuConfig        = "BANGER_TEST_CONFIG=vmm = \"qemu\"\n"
	firecrackerConfig = "BANGER_TEST_CONFIG=vmm = \"firecracker\"\nnetwork = \"none\"\n"
	faultTable        = "^TestLongFaultTable$"
	onFirecracker     = "^Test(Run|Life|NoNetwork|Detached|Events|BadInput|GuestPanics|GuestReboots|GuestPowersOff|VMMKilledFromOutside|MonitorKilledDuringStart|DaemonStopLeavesVMs)$"
)

// programs are built for the tests, as there is no Go in the host; a test
// finds each by the environment variable.
var programs = map[string]string{
	"BANGER_TEST_GUEST": "internal/vmm/vmmtest/lab/guest",
}

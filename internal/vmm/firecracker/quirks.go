package firecracker

import "github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"

// quirk is a fault of some versions that a driver must know of.
type quirk struct {
	name   string
	since  fcapi.Version
	fixed  fcapi.Version // the first version without it; zero: none known
	effect string
	way    string // round it, or the refusal
	tested string // the test, or "untested"
}

const (
	quirkBarePause = "vsock dead after a bare pause"
	untested       = "untested"
)

// quirks are the known ones, from the project's own change log and from what
// was measured.
var quirks = []quirk{
	{
		name: quirkBarePause, since: fcapi.Version{Major: 1, Minor: 16}, fixed: fcapi.Version{Major: 1, Minor: 17},
		effect: "its guest would never be reached again (a pause for a saved state does no harm)",
		way:    "Pause refuses", tested: "TestPauseRefusedWhereItKillsVsock",
	},
	{
		name: "a guest's power-off does not end the VMM", effect: "the VMM stays for ever",
		way: "the agent tells, or the kernel's last words with still vCPUs; the VMM is ended", tested: "TestRealConformance",
	},
	{
		name: "the drive cache Unsafe, the default, ignores a guest's flush", effect: "what a guest synced is lost",
		way: "Writeback always", tested: "TestSettings",
	},
	{
		name: "the default kernel arguments hold nomodule", effect: "the guest loads no module",
		way: "our own arguments always", tested: "TestSettings",
	},
	{
		name: "connections on vsock die at a snapshot without a sign", effect: "a read hangs",
		way: "the agent's connection is pinged (internal/guest)", tested: "TestSnapshotRounds",
	},
	{
		name: "a full disk of the host's is a failed write to the guest", effect: "its root, if it has a COW layer, is lost",
		way: "paused before", tested: "TestPausedBeforeTheDiskIsFull",
	},
	{
		name: "the handler of a caught signal takes locks that its thread may hold", effect: "the VMM hangs instead of ending",
		way: "killed some time after it has told of the signal", tested: "TestHangAfterASignal",
	},
	{
		name: "the log has no rate limit", fixed: fcapi.Version{Major: 1, Minor: 16}, effect: "a guest fills the host's disk",
		way: "a pipe, and a capped file", tested: "TestLogIsCapped",
	},
	{
		name: "a slow drive starves the other devices", fixed: fcapi.Version{Major: 1, Minor: 13}, effect: "vsock and console stall",
		way: "rate limits, where config.toml has them", tested: untested,
	},
	{
		name: "a diff of more than 3 GiB of memory is corrupt", fixed: fcapi.Version{Major: 1, Minor: 15}, effect: "a saved state does not load",
		way: "saves are no feature yet", tested: untested,
	},
	{
		name: "the console stays stuck where a snapshot met a byte under way", fixed: fcapi.Version{Major: 1, Minor: 16}, effect: "a restored guest prints nothing",
		way: "restores are no feature yet", tested: untested,
	},
	{
		name: "the monotonic clock jumps at a restore", fixed: fcapi.Version{Major: 1, Minor: 16}, effect: "timers fire at once",
		way: "restores are no feature yet", tested: untested,
	},
}

// findQuirk looks for a fault that v has.
func findQuirk(v fcapi.Version, name string) (quirk, bool) {
	for _, q := range quirks {
		if q.name == name && !v.Less(q.since) && (q.fixed == fcapi.Version{} || v.Less(q.fixed)) {
			return q, true
		}
	}
	return quirk{}, false
}

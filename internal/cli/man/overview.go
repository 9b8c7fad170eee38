package man

import (
	"strconv"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/places"
)

const overview = `banger makes real Linux virtual machines that feel like processes: made in a moment, named, reachable,
thrown away without a trace. They run on Firecracker or QEMU.

A daemon, bangerd, owns the VMs of a user. The first command that needs one starts it; it may be killed at any time
without harm to VMs or to what runs in them. VMs, images, kernels and operations are named by name, by ID, or by the unique
beginning of an ID.

Data goes to standard output; progress, errors and hints go to standard error. Every command that reads takes --json.`

// term is a word and what it means.
type term struct{ word, meaning string }

var environment = []term{
	{places.EnvStateDir, "Where VMs and images are kept; the option --state-dir overrides it."},
	{places.EnvRuntimeDir, "Where the daemon's socket lies; the option --runtime-dir overrides it."},
	{places.EnvSocket, "The daemon's socket; the option --socket overrides it."},
	{places.EnvCacheDir, "What can be made again, such as packages and images to begin with."},
	{places.EnvConfig, "The configuration, instead of config.toml in its place."},
	{"BANGER_FIRECRACKER, BANGER_QEMU", "The programs of the VMMs, absolute paths, in the daemon's environment; vmm_binary of config.toml overrides them."},
	{"XDG_STATE_HOME, XDG_RUNTIME_DIR, XDG_CACHE_HOME, XDG_CONFIG_HOME", "The places of an ordinary user's files."},
}

var files = []term{
	{"/etc/banger/config.toml, ~/.config/banger/config.toml", "The configuration, of root and of an ordinary user."},
	{"/var/lib/banger, ~/.local/state/banger", "VMs, images, kernels, the log of the daemon (bangerd.log), and the key and the configuration of OpenSSH (ssh/)."},
	{"/run/banger/bangerd.sock, $XDG_RUNTIME_DIR/banger/bangerd.sock", "The daemon's socket. Of a state directory that is chosen by hand it is run/bangerd.sock in there."},
	{"/var/cache/banger, ~/.cache/banger", "What can be made again: deleting it costs time, never a VM."},
}

// overviewEnd writes what all commands have in common.
func (w *writer) overviewEnd() {
	w.section("EXIT STATUS")
	for _, c := range app.ExitCodes() {
		w.item(strconv.Itoa(c.Code), c.Meaning)
	}
	w.text("run, exec and shell return the code of the command in the guest: 128+N where signal N ended it, 126 where it cannot be run, 127 where there is none; and 125 where banger failed before it ran, an unknown VM included. ssh returns OpenSSH's.")
	w.section("ENVIRONMENT")
	w.terms(environment)
	w.section("FILES")
	w.terms(files)
}

func (w *writer) terms(all []term) {
	for _, t := range all {
		w.item(`\fB`+escape(t.word)+`\fR`, t.meaning)
	}
}

package layers

import "strings"

const module = "github.com/banger-vm/banger/"

// A pattern names packages of this module: "a/b" is that package alone, "a/b/*"
// all that is below it and not itself, "a/b/..." both.
type pattern string

func (p pattern) match(pkg string) bool {
	if parent, ok := strings.CutSuffix(string(p), "/*"); ok {
		return strings.HasPrefix(pkg, parent+"/")
	}
	if root, ok := strings.CutSuffix(string(p), "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pkg == string(p)
}

type patterns []pattern

func (ps patterns) match(pkg string) bool {
	for _, p := range ps {
		if p.match(pkg) {
			return true
		}
	}
	return false
}

// with returns the patterns and more.
func (ps patterns) with(more ...pattern) patterns { return append(more, ps...) }

// leaves know nothing of VMs, and all above them may import them.
var leaves = patterns{
	"internal/calm", "internal/claim", "internal/credential", "internal/event", "internal/fault", "internal/hostexec", "internal/jsonfile", "internal/lease", "internal/naming", "internal/places", "internal/size", "internal/sockets", "internal/telemetry", "internal/turn",
	"internal/version",
}

// mayImport says what of this module the packages from may import. It is the
// table of ARCHITECTURE.md; a package to which no rule applies is an error, and
// all that apply count.
var mayImport = []struct {
	from   pattern
	allow  patterns
	reason string
}{
	{"cmd/banger", patterns{"internal/cli"}, "a main is a few lines"},
	{"cmd/bangerd", patterns{"internal/daemon"}, "a main is a few lines"},
	{"cmd/banger-guest", patterns{"internal/guestd"}, "a main is a few lines"},
	{"api", nil, "api is for every program"},
	{"client/...", patterns{"api", "client/...", "internal/rpc", "internal/stream", "internal/archive"}, "client is what other programs import"},
	{"internal/cli/...", patterns{"client/...", "api", "internal/calm", "internal/credential", "internal/places", "internal/size", "internal/version", "internal/cli/*"}, "cli sees only client and api"},

	{"internal/reaper", leaves.with("internal/doctor/residue"), "a reaper acts on what is found"},
	{"internal/doctor", leaves, "a contract"},
	{"internal/doctor/vmms", leaves.with("internal/doctor", "internal/vmm"), "checks see a contract and the facts that they are given"},
	{"internal/doctor/host", leaves.with("internal/doctor"), "checks see the facts that they are given"},
	{"internal/doctor/own", leaves.with("internal/doctor", "internal/doctor/host"), "checks see the facts that they are given"},
	{"internal/doctor/residue", leaves.with("internal/doctor"), "what is left over is told by records and the kernel"},
	{"internal/daemon", leaves.with("api", "internal/*"), "daemon wires what is below it"},
	{"internal/service", leaves.with("api", "internal/doctor", "internal/doctor/residue", "internal/forward", "internal/rpc/...", "internal/vm", "internal/vm/auth", "internal/vm/capacity", "internal/vm/change", "internal/vm/reset", "internal/vm/spec", "internal/vm/usage", "internal/image", "internal/kernel/registry", "internal/operation", "internal/guest/wire", "internal/machine", "internal/network", "internal/vmm", "internal/vmm/choose", "internal/vmm/install", "internal/console"), "service calls use cases"},
	{"internal/store", leaves.with("internal/doctor/residue", "internal/vm", "internal/vm/spec", "internal/image", "internal/kernel/registry", "internal/operation"), "store implements its consumers' interfaces"},
	{"internal/vm", leaves.with("internal/forward", "internal/operation", "internal/machine", "internal/vmm", "internal/vmm/choose", "internal/disk", "internal/network", "internal/guest/wire", "internal/vm/*"), "vm sees contracts only"},
	{"internal/vm/spec", leaves.with("internal/forward", "internal/vmm"), "what a VM is asked to be knows no VMs"},
	{"internal/vm/live", leaves.with("internal/forward", "internal/machine"), "a part of vm sees one contract"},
	{"internal/vm/sshkey", leaves, "a part of vm sees one contract"},
	{"internal/vm/access", leaves.with("internal/vm/sshkey"), "a part of vm sees one contract"},
	{"internal/vm/ports", leaves.with("internal/forward"), "a part of vm sees one contract"},
	{"internal/vm/capacity", leaves, "a part of vm sees facts"},
	{"internal/vm/usage", leaves.with("internal/machine"), "a part of vm sees one contract"},
	{"internal/vm/change", leaves.with("internal/disk/sparse", "internal/network", "internal/operation", "internal/vm", "internal/vm/spec"), "a room of its own sees contracts and the VMs"},
	{"internal/vm/reset", leaves.with("internal/disk", "internal/operation", "internal/vm"), "a room of its own sees contracts and the VMs"},
	{"internal/vm/comeback", leaves.with("internal/machine", "internal/operation", "internal/vm", "internal/vm/spec"), "a room of its own sees contracts and the VMs"},
	{"internal/vm/hook", leaves.with("internal/machine", "internal/operation"), "a contract"},
	{"internal/vm/auth", leaves.with("internal/guest/wire", "internal/machine", "internal/operation", "internal/vm", "internal/vm/hook", "internal/vm/sshkey"), "a capability sees its contract and the VMs"},
	{"internal/image", leaves.with("internal/operation"), "image knows no VMs"},
	{"internal/image/*", leaves.with("internal/image", "internal/operation"), "children import their parent and what it may"},
	{"internal/kernel", leaves.with("internal/kernel/unpack", "internal/kernel/unfit", "internal/kernel/vmlinux"), "kernel knows no images and no VMs"},
	{"internal/kernel/unpack", nil, "unpack knows no kernels"},
	{"internal/kernel/unfit", nil, "a leaf"},
	{"internal/kernel/vmlinux", patterns{"internal/kernel/unpack", "internal/kernel/unfit"}, "vmlinux knows one file"},
	{"internal/kernel/*", leaves.with("internal/kernel", "internal/kernel/unpack", "internal/kernel/unfit", "internal/kernel/vmlinux", "internal/operation"), "children import their parent and what it may"},
	{"internal/operation", leaves, "operation knows no VMs"},

	{"internal/forward", leaves, "a contract"},
	{"internal/forward/*", leaves.with("internal/forward"), "children import their parent and leaves"},
	{"internal/monitor/...", leaves.with("api", "internal/console", "internal/forward/...", "internal/monitor/*", "internal/unit", "internal/machine", "internal/disk", "internal/vmm", "internal/network", "internal/guest", "internal/guest/wire", "internal/stream", "internal/rpc/..."), "a monitor is given its drivers"},
	{"internal/monitor/line", leaves.with("api", "internal/console", "internal/stream"), "a serial line needs no guest"},
	{"internal/monitor/control", leaves.with("api", "internal/forward", "internal/guest/wire", "internal/machine", "internal/rpc", "internal/monitor/sandbox", "internal/unit"), "control is the daemon's end: no guest, no VMM"},
	{"internal/machine", patterns{"internal/forward", "internal/vmm", "internal/network", "internal/guest/wire"}, "a contract"},
	{"internal/machine/*", patterns{"internal/forward", "internal/machine", "internal/vmm", "internal/network", "internal/guest/wire"}, "children import their parent and what it may"},
	{"internal/vmm", patterns{"internal/disk", "internal/hostexec", "internal/network"}, "a contract"},
	{"internal/vmm/choose", leaves.with("internal/disk", "internal/vmm", "internal/network"), "a choice is made from facts"},
	{"internal/vmm/install", leaves.with("internal/operation"), "what is installed is told by whom it is wired"},
	{"internal/vmm/fake", leaves.with("internal/vmm", "internal/disk", "internal/network", "internal/guest/wire"), "a driver imports contracts"},
	{"internal/vmm/fakeproc", driverMay, "a driver imports contracts and what drivers share"},
	{"internal/vmm/qemu/...", driverMay.with("internal/vmm/qemu/*"), "a driver imports contracts and what drivers share"},
	{"internal/vmm/firecracker/...", driverMay.with("internal/vmm/firecracker/*", "internal/vmm/vmmtest/script"), "a driver imports contracts and what drivers share"},
	{"internal/vmm/rundir", leaves.with("internal/vmm"), "what drivers share knows no driver"},
	{"internal/vmm/precheck", leaves.with("internal/vmm", "internal/disk"), "what drivers share knows no driver"},
	{"internal/vmm/kvmprobe", leaves.with("internal/vmm", "internal/guest/wire"), "what drivers share knows no driver"},
	{"internal/vmm/vmmtest/...", leaves.with("test/matrix/result", "internal/vmm", "internal/vmm/vmmtest/*", "internal/disk", "internal/network", "internal/guest/wire"), "a conformance suite imports its contract"},
	{"internal/disk", leaves, "a contract"},
	{"internal/disk/*", leaves.with("internal/disk", "internal/disk/sparse", "internal/disk/whole", "test/matrix/result"), "children import their parent, leaves and what several have in common"},
	{"internal/network", leaves, "a contract"},
	{"internal/network/none", leaves.with("internal/network"), "children import their parent and leaves"},
	{"internal/network/user/...", leaves.with("internal/network", "internal/network/user/*"), "a driver is made of its parts"},

	{"internal/guest", leaves.with("api", "internal/guest/wire", "internal/stream"), "guest knows one agent, and no VMs"},
	{"internal/guest/wire", patterns{"internal/credential"}, "wire is what both ends share"},
	{"internal/guestd/...", patterns{"api", "internal/calm", "internal/credential", "internal/guest/wire", "internal/sockets", "internal/stream", "internal/version", "internal/guestd/*", "internal/disk", "internal/archive"}, "guestd runs in the guest"},
	{"internal/stream", nil, "stream is a leaf"},
	{"internal/archive", patterns{"api"}, "what both ends of a copy share knows no streams"},
	{"internal/rpc", leaves.with("api"), "rpc knows no VMs"},
	{"internal/rpc/*", leaves.with("api", "internal/rpc/..."), "rpc knows no VMs"},

	{"internal/claim", patterns{"internal/fault"}, "a leaf"},
	{"internal/lease", patterns{"internal/fault"}, "a leaf"},
	{"internal/console", nil, "a leaf"},
	{"internal/event", nil, "a leaf"},
	{"internal/fault", nil, "a leaf"},
	{"internal/calm", nil, "a leaf"},
	{"internal/credential", nil, "a leaf"},
	{"internal/hostexec", patterns{"internal/calm"}, "a leaf"},
	{"internal/jsonfile", nil, "a leaf"},
	{"internal/turn", nil, "a leaf"},
	{"internal/naming", patterns{"internal/fault"}, "a leaf"},
	{"internal/places", nil, "a leaf"},
	{"internal/size", nil, "a leaf"},
	{"internal/sockets", nil, "a leaf"},
	{"internal/telemetry", nil, "a leaf"},
	{"internal/unit", patterns{"internal/calm"}, "a leaf"},
	{"internal/version", nil, "a leaf"},

	{"bench/...", patterns{"api", "client", "internal/*", "test/seedstate"}, "benchmarks import anything"},
	{"test/...", patterns{"api", "client", "internal/*", "test/..."}, "tests import anything"},
}

// driverMay is what a VMM driver may import besides its own children.
var driverMay = leaves.with(
	"internal/vmm", "internal/vmm/rundir", "internal/vmm/precheck", "internal/vmm/kvmprobe",
	"internal/disk", "internal/network", "internal/guest/wire",
)

var drivers = patterns{
	"internal/vmm/qemu", "internal/vmm/firecracker", "internal/vmm/fakeproc", "internal/disk/guestcow", "internal/disk/copy", "internal/disk/reflink", "internal/disk/qcow2", "internal/network/user", "internal/network/none",
	"internal/image/bootstrap", "internal/kernel/debian", "internal/kernel/local",
}

// importedBy says who alone may import a package; benchmarks and tests may too.
var importedBy = []struct {
	what   patterns
	by     patterns
	reason string
}{
	{drivers, patterns{"internal/daemon"}, "only daemon wires"},
	{patterns{"test/..."}, patterns{"internal/disk/disktest", "internal/vmm/vmmtest"}, "conformance suites alone tell what they ran on"},
	{patterns{"internal/vmm/firecracker/*"}, patterns{"internal/vmm/firecracker/..."}, "parts of a driver"},
	{patterns{"internal/network/user/*"}, patterns{"internal/network/user/..."}, "parts of a driver"},
	{patterns{"internal/daemon"}, patterns{"cmd/bangerd"}, "daemon is the top"},
	{patterns{"internal/monitor"}, patterns{"internal/daemon"}, "a monitor is a program"},
	{patterns{"internal/unit"}, patterns{"internal/daemon", "internal/monitor", "internal/monitor/control"}, "others are not to know of systemd"},
	{patterns{"internal/forward/relay"}, patterns{"internal/monitor"}, "a VM's connections go through its monitor"},
	{patterns{"internal/monitor/*"}, patterns{"internal/daemon", "internal/monitor/..."}, "parts of the monitor"},
	{patterns{"internal/service", "internal/store"}, patterns{"internal/daemon"}, "only daemon wires"},
	{patterns{"internal/guest"}, patterns{"internal/monitor/..."}, "a guest's bytes are checked in its monitor"},
	{patterns{"internal/archive"}, patterns{"client", "internal/guestd/files"}, "a monitor passes archives unread"},
	{patterns{"internal/doctor/..."}, patterns{"internal/daemon", "internal/reaper", "internal/doctor/...", "internal/service", "internal/store"}, "only daemon has all facts"},
	{patterns{"internal/guestd/..."}, patterns{"cmd/banger-guest", "internal/guestd/..."}, "guestd runs in the guest"},
	{patterns{"internal/cli/..."}, patterns{"cmd/banger", "internal/cli/..."}, "cli is the top"},
	{patterns{"os/exec"}, patterns{"internal/hostexec", "internal/cli/...", "client/...", "internal/guestd/...", "internal/disk/disktest", "internal/vmm/vmmtest/lab"}, "only hostexec starts processes"},
}

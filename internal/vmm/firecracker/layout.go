package firecracker

import (
	"fmt"
	"path/filepath"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// The directories in a VM's directory.
const (
	dirRun  = "fc"      // the VMM's own, and its working directory
	dirRoot = "fc.root" // an empty one, which the enclosure's root is built on
)

// The files in dirRun. The VMM knows them by these names.
const (
	fileAPI     = "api.sock"
	fileVsock   = "v.sock"
	fileIn      = "console.in"
	fileOut     = "console.out"
	fileLog     = "log"
	fileMetrics = "metrics"
)

// The descriptors that a VMM inherits besides the standard ones, and never
// touches.
const (
	fdLock = 3 + iota
	fdWire // with a network card, in an enclosure
)

// names are a machine's files as its VMM knows them.
type names struct {
	kernel, initramfs string
	drive             func(disk.Drive) string
}

// hostNames are those of a VMM that sees the host's files.
func hostNames(spec vmm.Spec) names {
	return names{
		kernel: spec.Kernel, initramfs: spec.Initramfs,
		// Relative where they are the VM's own: saved states name them.
		drive: func(d disk.Drive) string {
			if filepath.IsAbs(d.Path) {
				return d.Path
			}
			return filepath.Join("..", d.Path)
		},
	}
}

// innerNames are those of an enclosed VMM, the same for every machine.
func innerNames() names {
	return names{kernel: "/kernel", initramfs: "/initramfs", drive: func(d disk.Drive) string { return "/" + string(d.Slot) }}
}

// names are those by which this machine's VMM knows its files.
func (m *machine) names() names {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rec.Isolation == vmm.IsolationNamespaces {
		return innerNames()
	}
	return hostNames(m.spec)
}

// plan is the enclosure of spec's VMM.
func plan(spec vmm.Spec) enclose.Plan {
	in := innerNames()
	p := enclose.Plan{
		Root: filepath.Join(spec.Dir, dirRoot), Dir: filepath.Join(spec.Dir, dirRun),
		Binds: []enclose.Bind{
			{From: kvmprobe.Device, To: kvmprobe.Device, Device: true},
			{From: spec.Kernel, To: in.kernel},
			{From: spec.Initramfs, To: in.initramfs},
		},
		Args: commandLine(spec), Env: environment(),
	}
	if hasCard(spec) {
		p.Wire = fdWire
		p.Binds = append(p.Binds, enclose.Bind{From: wire.Device, To: wire.Device, Device: true})
	}
	for _, d := range spec.Drives {
		p.Binds = append(p.Binds, enclose.Bind{From: precheck.DrivePath(spec, d), To: in.drive(d), Writable: !d.ReadOnly})
	}
	return p
}

// environment is the VMM's. The size of its threads' stacks (a variable of
// Rust's standard library) decides where the guest's memory comes to lie: below
// the program, which file systems of large pages align to 2 MiB, and the stack
// of the thread that serves the API. With what the C library adds (a guard of 8
// KiB and 4 KiB of its own) that one is 2 MiB as a whole, so that the memory is
// aligned in most runs, and the processor maps it in large pages: a kernel
// boots in two thirds of the time in the test host. Kernels from 6.7 on align it
// whatever is above.
func environment() []string {
	const stack = 2<<20 - 12<<10
	return []string{fmt.Sprintf("RUST_MIN_STACK=%d", stack)}
}

// commandLine is the VMM's; its title tells people which VM it is.
func commandLine(spec vmm.Spec) []string {
	return []string{
		fmt.Sprintf("firecracker: %s in %s", spec.Name, spec.Dir),
		"--id", "vm",
		"--api-sock", fileAPI,
		"--log-path", fileLog, "--level", "Info", "--show-level",
		"--metrics-path", fileMetrics,
	}
}

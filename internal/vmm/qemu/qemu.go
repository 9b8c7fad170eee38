// Package qemu is the VMM driver for QEMU: the microvm machine with KVM, or
// with TCG where KVM does not work. QEMU gives no security promise for TCG.
//
// In a machine's directory lie its sockets (qmp.sock, console.sock,
// agent.sock, link.sock), what it is (vmm.json), what it said (vmm.log, vmm.trace) and
// vmm.lock. QEMU inherits the locked file, so the lock is held exactly as long
// as QEMU lives, whoever started it and whatever became of the starter.
package qemu

import (
	"log/slog"
	"sync"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// The files in a machine's directory besides those of package rundir.
const (
	fileQMP     = "qmp.sock"
	fileConsole = "console.sock"
	fileAgent   = "agent.sock"
	fileLink    = "link.sock"
	fileTrace   = "vmm.trace"
)

// sockets are those that QEMU inherits, from fdQMP on.
var sockets = []string{fileQMP, fileConsole, fileAgent, fileLink}

// DriverName is the driver's name.
const DriverName = "qemu"

// Config is what the driver can be told.
type Config struct {
	Binary string // "" is qemu-system-x86_64
	// CacheDir keeps the verdict on KVM.
	CacheDir string
	Settle   vmm.Settle
	// ProbeKernel and ProbeInitramfs are booted by Info to find out whether
	// KVM works; without them Info knows only what a Start has found out.
	ProbeKernel    string
	ProbeInitramfs string
}

// Driver runs machines with QEMU.
type Driver struct {
	cfg    Config
	runner hostexec.Runner
	log    *slog.Logger
	tsc    *tscMeter
	kvm    *kvmprobe.Prober

	mu      sync.Mutex
	version map[string]string // by binary identity
}

var _ vmm.Driver = (*Driver)(nil)

// New makes the driver; it looks at nothing yet.
func New(runner hostexec.Runner, log *slog.Logger, cfg Config) *Driver {
	if cfg.Binary == "" {
		cfg.Binary = "qemu-system-x86_64"
	}
	d := &Driver{cfg: cfg, runner: runner, log: log, tsc: newTSCMeter(), version: map[string]string{}}
	d.kvm = kvmprobe.New(DriverName, cfg.CacheDir, log, d.bootProbe)
	return d
}

// Name is "qemu".
func (d *Driver) Name() string { return DriverName }

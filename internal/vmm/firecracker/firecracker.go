// Package firecracker is the VMM driver for Firecracker, 1.12 and later, which
// needs KVM. Where the host lets it, the VMM runs in namespaces of its own
// with a root that holds nothing but its files.
//
// In a VM's directory lie vmm.lock, which the VMM inherits and so holds exactly
// as long as it lives; vmm.json, what it is; vmm.log, what it said; and fc/,
// the one directory that it may write to: its API's socket, its vsock's, the
// pipes of its console and its log, and its metrics. What comes out of fc/ is
// as untrusted as the guest.
package firecracker

import (
	"log/slog"
	"sync"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// DriverName is the driver's name.
const DriverName = "firecracker"

// StageArg is the first argument of the program that Config.Stage names; what
// follows it is for Stage.
const StageArg = "vmm-exec"

// Stage is the life of that program.
var Stage = enclose.Main

// Config is what the driver can be told.
type Config struct {
	Binary string // "" is firecracker
	// Stage is the command line of a program that calls Stage with what
	// follows; without one the VMM is not enclosed.
	Stage []string
	// CacheDir keeps the verdict on KVM.
	CacheDir string
	Settle   vmm.Settle `json:"-"` // is called with each VMM
	// ProbeKernel and ProbeInitramfs are booted by Info to find out whether
	// KVM works; without them Info knows only that the device opens.
	ProbeKernel, ProbeInitramfs string
}

// Driver runs machines with Firecracker.
type Driver struct {
	cfg    Config
	runner hostexec.Runner
	log    *slog.Logger
	kvm    *kvmprobe.Prober
	device func() string // why KVM cannot be opened, "" if it can
	tun    func() string // why no TAP can be made, "" if one can
	free   func(path string) (bytes int64, err error)

	mu      sync.Mutex
	version map[string]fcapi.Version   // by binary identity
	warden  map[string]*enclose.Warden // by directory: who starts the VMM there
	reduced string                     // why nothing can be enclosed here, "" until that is seen
}

var (
	_ vmm.Driver     = (*Driver)(nil)
	_ vmm.PostMortem = (*Driver)(nil)
	_ vmm.Stager     = (*Driver)(nil)
)

// New makes the driver; it looks at nothing yet.
func New(runner hostexec.Runner, log *slog.Logger, cfg Config) *Driver {
	if cfg.Binary == "" {
		cfg.Binary = "firecracker"
	}
	d := &Driver{
		cfg: cfg, runner: runner, log: log, device: kvmprobe.OpenDevice, tun: NoTUN, free: vmm.Room,
		version: map[string]fcapi.Version{}, warden: map[string]*enclose.Warden{},
	}
	d.kvm = kvmprobe.New(DriverName, cfg.CacheDir, log, d.bootProbe)
	return d
}

// Name is "firecracker".
func (d *Driver) Name() string { return DriverName }

// NoTUN says why no TAP can be made here, and so no VMM can have a network card;
// "" if one can.
func NoTUN() string { return wire.Missing() }

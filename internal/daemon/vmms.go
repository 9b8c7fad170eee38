package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/service"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/install"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// verdicts is where the cache keeps what was found out about this host.
const verdicts = "probe"

// driverConfig is what all VMM drivers are told.
type driverConfig struct {
	binary   string // "" is the driver's own
	cacheDir string
	guest    choose.Guest // to try KVM with
	settle   vmm.Settle   // what is started
}

// driver is a VMM driver of this build.
type driver struct {
	name string
	make func(log *slog.Logger, cfg driverConfig) vmm.Driver
}

// drivers are those of this build, in the order in which they are chosen;
// monitors use the same.
var drivers = append([]driver{
	{firecracker.DriverName, newFirecracker},
	{qemu.DriverName, func(log *slog.Logger, cfg driverConfig) vmm.Driver {
		return qemu.New(hostexec.Host{}, log, qemu.Config{
			Binary: cfg.binary, CacheDir: cfg.cacheDir, Settle: cfg.settle,
			ProbeKernel: cfg.guest.Kernel, ProbeInitramfs: cfg.guest.Initramfs,
		})
	}},
}, testDrivers...)

func newFirecracker(log *slog.Logger, cfg driverConfig) vmm.Driver {
	return firecracker.New(hostexec.Host{}, log, firecracker.Config{
		Binary: cfg.binary, CacheDir: cfg.cacheDir, Settle: cfg.settle,
		Stage:       []string{"/proc/self/exe", firecracker.StageArg},
		ProbeKernel: cfg.guest.Kernel, ProbeInitramfs: cfg.guest.Initramfs,
	})
}

func driverNames() []string {
	names := make([]string, len(drivers))
	for i, d := range drivers {
		names[i] = d.name
	}
	return names
}

// products are the VMMs that banger can install.
func products(log *slog.Logger) []install.Product {
	return []install.Product{{
		Name: firecracker.DriverName, Programs: []string{firecracker.DriverName, "jailer"},
		Version: func(ctx context.Context, path string) (string, error) {
			info, err := newFirecracker(log, driverConfig{binary: path}).Info(ctx)
			return info.Version, err
		},
	}}
}

// vmms looks at the VMMs of this host.
type vmms struct {
	log      *slog.Logger
	cacheDir string
	finder   install.Finder
	chooser  *choose.Chooser
	guest    func(context.Context) (choose.Guest, error)
	usual    func(context.Context, choose.Guest) (choose.Choice, error)

	mu   sync.Mutex
	made map[madeDriver]vmm.Driver // they remember what they have found out
}

type madeDriver struct {
	name, binary string
	guest        choose.Guest
}

// newVMMs checks what the settings say of VMMs.
func (d *Daemon) newVMMs(networks map[string]network.Driver) (*vmms, error) {
	given, err := d.settings.givenBinaries(driverNames())
	if err != nil {
		return nil, err
	}
	v := &vmms{
		log: d.log, cacheDir: filepath.Join(d.places.CacheDir, verdicts),
		finder: install.Finder{Dir: d.vmmDir(), Given: given}, made: map[madeDriver]vmm.Driver{},
	}
	v.chooser = &choose.Chooser{
		Order: driverNames(), Default: d.settings.VMM, Networks: map[string][]network.Backend{}, Look: v.look,
	}
	for name, n := range networks {
		v.chooser.Networks[name] = n.Backends()
	}
	if d.settings.VMM != "" && d.settings.VMM != choose.Auto {
		if err := v.chooser.Known(d.settings.VMM); err != nil {
			return nil, fmt.Errorf("vmm in config.toml: %w", err)
		}
	}
	return v, nil
}

// vmmDir is where installed VMMs are.
func (d *Daemon) vmmDir() string { return filepath.Join(d.places.StateDir, "vmm") }

// look asks the driver of the program that is used now.
func (v *vmms) look(ctx context.Context, name string, guest choose.Guest) (vmm.Info, error) {
	binary, _ := v.finder.Find(name)
	return v.driver(madeDriver{name, binary, guest}).Info(ctx)
}

func (v *vmms) driver(key madeDriver) vmm.Driver {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d, ok := v.made[key]; ok {
		return d
	}
	for _, d := range drivers {
		if d.name == key.name {
			v.made[key] = d.make(v.log, driverConfig{binary: key.binary, cacheDir: v.cacheDir, guest: key.guest})
		}
	}
	return v.made[key]
}

// List implements service.VMMs.
func (v *vmms) List(ctx context.Context, try bool) (list []service.VMM, _ error) {
	var guest choose.Guest
	if try {
		var err error
		if guest, err = v.guest(ctx); err != nil {
			return nil, err
		}
	}
	for _, name := range v.chooser.Order {
		found := service.VMM{Name: name}
		_, found.By = v.finder.Find(name)
		found.Info, found.Err = v.chooser.See(ctx, name, guest)
		found.Networks = v.chooser.NetworksOf(found.Info)
		list = append(list, found)
	}
	// That none will do is no error here: the list says why.
	usual, err := v.usual(ctx, guest)
	for i := range list {
		if err == nil && list[i].Name == usual.VMM {
			list[i].Usual = &usual
		}
	}
	return list, context.Cause(ctx)
}

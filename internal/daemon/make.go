package daemon

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	diskcopy "github.com/banger-vm/banger/internal/disk/copy"
	"github.com/banger-vm/banger/internal/disk/guestcow"
	"github.com/banger-vm/banger/internal/disk/qcow2"
	"github.com/banger-vm/banger/internal/disk/reflink"
	"github.com/banger-vm/banger/internal/disk/workdisk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/kernel/local"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/none"
	usernet "github.com/banger-vm/banger/internal/network/user"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/access"
	"github.com/banger-vm/banger/internal/vm/auth"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm/install"
)

func (d *Daemon) newImages(p *parts) *image.Registry {
	builder := bootstrap.New(bootstrap.Config{CacheDir: filepath.Join(d.places.CacheDir, "images"), UID: os.Geteuid()}, hostexec.Host{}, d.log)
	return image.NewRegistry(p.store, builder, d.log, image.Config{
		Dir: filepath.Join(d.places.StateDir, "images"),
		// The VMs are made after the images.
		Users: func(ctx context.Context, id string) ([]string, error) { return p.vms.ImageUsers(ctx, id) },
	})
}

func (d *Daemon) newKernels(p *parts, agent string) kernelSource {
	run := hostexec.Host{}
	packages := debian.New(debian.Config{CacheDir: d.places.CacheDir}, run)
	library := kernel.New(kernel.Config{Dir: filepath.Join(d.places.StateDir, "kernels")}, packages, run, d.log)
	named := registry.New(p.store, library, d.log, registry.Config{
		// The VMs are made after the kernels.
		Users: func(ctx context.Context, id string) ([]string, error) { return p.vms.KernelUsers(ctx, id) },
		Open:  func(vmlinuz, modules string) kernel.Source { return local.New(vmlinuz, modules) },
	})
	return kernelSource{library, named, agent}
}

// newRuntime makes the daemon's end of monitors, which are this program too.
func (d *Daemon) newRuntime(self string, finder install.Finder) *control.Runtime {
	args := []string{
		"--cache-dir", d.places.CacheDir, "--vmm-dir", finder.Dir,
		"--log-level", or(d.settings.Log.Level, "info"), "--log-format", or(d.settings.Log.Format, "text"),
	}
	for name, given := range finder.Given {
		args = append(args, "--vmm-binary", name+"="+given.Path)
	}
	return control.New(d.log, control.Config{Program: self, Args: args, Units: d.units})
}

// newAuth makes what keeps VMs' users' own.
func (d *Daemon) newAuth(p *parts, guests machine.Authorizer) *auth.Keeper {
	return auth.New(p.store, guests, d.log, auth.Config{
		Dir: filepath.Join(d.places.StateDir, "vms"), Staged: filepath.Join(d.places.StateDir, "auth"),
	})
}

func newNetworks() map[string]network.Driver {
	return byName[network.Driver](none.New(), usernet.New())
}

func newDisks() map[string]disk.Driver {
	return byName[disk.Driver](guestcow.New(), diskcopy.New(), qcow2.New(), reflink.New())
}

func (d *Daemon) newVMs(self string, p *parts, runtime *control.Runtime, networks map[string]network.Driver, host vm.Host) *vm.Manager {
	return vm.New(vm.Parts{
		Store:   p.store,
		Runtime: runtime,
		Ports:   runtime,
		Pauser:  runtime,
		Resizer: runtime,
		Capacity: capacity.NewJudge(func() (capacity.Host, error) {
			return capacity.Look(os.DirFS("/"), filepath.Join(d.places.StateDir, "vms"))
		}, d.settings.capacity()),
		Vitals: runtime,
		Units:  d.units,
		// The operations are made after the VMs.
		Images:   imageSource{p.images, func() *operation.Registry { return p.ops }},
		Kernels:  p.kernels,
		Work:     workDisks{workdisk.NewSeeds(hostexec.Host{})},
		VMMs:     p.vmms.chooser,
		Disks:    newDisks(),
		Networks: networks,
		Access:   access.New(filepath.Join(d.places.StateDir, "ssh"), d.settings.Zone, sshDial(self, d.places)),
		Claims:   p.claims, Events: p.events, Log: d.log, Preflight: d.preflight(),
		Capabilities: []hook.Capability{p.auth},
		Ended:        func(id string) { p.rooms.comebacks.Ended(id) },
	}, vm.Config{
		Dir:         filepath.Join(d.places.StateDir, "vms"),
		BootTimeout: time.Duration(d.settings.BootTimeout), StopTimeout: time.Duration(d.settings.StopTimeout),
		Defaults:   spec.Defaults{Network: d.settings.Network, DiskDriver: d.settings.DiskDriver, AutoForward: d.settings.AutoForward},
		DriveLimit: d.settings.driveLimit(), Host: host,
	})
}

// sshDial makes the command by which ssh reaches a VM's server.
func sshDial(self string, p places.Places) func(id string) []string {
	cli, err := companion(self, "banger")
	if err != nil {
		cli = "banger" // of the caller's PATH
	}
	return func(id string) []string {
		return []string{cli, "--socket=" + p.Socket, "dial", "--wait=60s", id, "22"}
	}
}

func (d *Daemon) newOperations(p *parts) *operation.Registry {
	planners := make(map[string]operation.Planner)
	maps.Copy(planners, p.images.Planners())
	maps.Copy(planners, p.kernels.named.Planners())
	maps.Copy(planners, p.vms.Planners())
	maps.Copy(planners, p.auth.Planners())
	maps.Copy(planners, p.rooms.changes.Planners())
	maps.Copy(planners, p.rooms.resets.Planners())
	maps.Copy(planners, p.installs.Planners())
	return operation.New(p.store, p.claims, p.events, d.log, operation.Config{Planners: planners, Pass: moments(d.places.StateDir)})
}

func byName[D interface{ Name() string }](drivers ...D) map[string]D {
	m := make(map[string]D, len(drivers))
	for _, d := range drivers {
		m[d.Name()] = d
	}
	return m
}

func or(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

// companion finds a program of banger's own: beside the one at self, then in
// ../libexec/banger.
func companion(self, name string) (string, error) {
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "..", "libexec", "banger", name)} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return filepath.Clean(path), nil
		}
	}
	return "", fmt.Errorf("%s is neither beside %s nor in its libexec/banger: install it there (make build puts it there)", name, self)
}

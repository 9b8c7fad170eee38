package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	diskcopy "github.com/banger-vm/banger/internal/disk/copy"
	"github.com/banger-vm/banger/internal/disk/guestcow"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/none"
	usernet "github.com/banger-vm/banger/internal/network/user"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// verdicts is where the cache keeps what was found out about this host.
const verdicts = "probe"

// Drivers makes the VMM drivers of this build; monitors use the same, and
// settle what they start.
func Drivers(cacheDir string, settle vmm.Settle) map[string]func(*slog.Logger) vmm.Driver {
	return map[string]func(*slog.Logger) vmm.Driver{
		"qemu": func(log *slog.Logger) vmm.Driver {
			return qemu.New(hostexec.Host{}, log, qemu.Config{CacheDir: filepath.Join(cacheDir, verdicts), Settle: settle})
		},
		firecracker.DriverName: func(log *slog.Logger) vmm.Driver {
			return firecracker.New(hostexec.Host{}, log, firecracker.Config{
				Binary: os.Getenv("BANGER_FIRECRACKER"), Stage: []string{"/proc/self/exe", firecracker.StageArg},
				CacheDir: filepath.Join(cacheDir, verdicts), Settle: settle,
			})
		},
	}
}

func (d *Daemon) newImages(p *parts) *image.Registry {
	builder := bootstrap.New(bootstrap.Config{CacheDir: filepath.Join(d.places.CacheDir, "images"), UID: os.Geteuid()}, hostexec.Host{}, d.log)
	return image.NewRegistry(p.store, builder, d.log, image.Config{
		Dir: filepath.Join(d.places.StateDir, "images"),
		// The VMs are made after the images.
		Users: func(ctx context.Context, id string) ([]string, error) { return p.vms.ImageUsers(ctx, id) },
	})
}

func (d *Daemon) newKernels(agent string) kernelSource {
	run := hostexec.Host{}
	packages := debian.New(debian.Config{CacheDir: d.places.CacheDir}, run)
	return kernelSource{kernel.New(kernel.Config{Dir: filepath.Join(d.places.StateDir, "kernels")}, packages, run, d.log), agent}
}

// newRuntime makes the daemon's end of monitors, which are this program too.
func (d *Daemon) newRuntime(self string) machine.Runtime {
	return control.New(d.log, control.Config{Program: self, Units: d.units, Args: []string{
		"--cache-dir", d.places.CacheDir,
		"--log-level", or(d.settings.Log.Level, "info"), "--log-format", or(d.settings.Log.Format, "text"),
	}})
}

func (d *Daemon) newVMs(p *parts, runtime machine.Runtime, kernels vm.Kernels) *vm.Manager {
	drivers := make(map[string]vmm.Driver)
	for name, driver := range Drivers(d.places.CacheDir, nil) {
		drivers[name] = driver(d.log)
	}
	return vm.New(vm.Parts{
		Store:   p.store,
		Runtime: runtime,
		Units:   d.units,
		// The operations are made after the VMs.
		Images:   imageSource{p.images, func() *operation.Registry { return p.ops }},
		Kernels:  kernels,
		Work:     workDisks{hostexec.Host{}},
		VMMs:     vmms{drivers, d.settings.VMM},
		Disks:    byName[disk.Driver](guestcow.New(), diskcopy.New()),
		Networks: byName[network.Driver](none.New(), usernet.New()),
		Claims:   p.claims, Events: p.events, Log: d.log,
	}, vm.Config{
		Dir:         filepath.Join(d.places.StateDir, "vms"),
		BootTimeout: time.Duration(d.settings.BootTimeout), StopTimeout: time.Duration(d.settings.StopTimeout),
	})
}

func (d *Daemon) newOperations(p *parts) *operation.Registry {
	planners := make(map[string]operation.Planner)
	maps.Copy(planners, p.images.Planners())
	maps.Copy(planners, p.vms.Planners())
	return operation.New(p.store, p.claims, p.events, d.log, operation.Config{Planners: planners})
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

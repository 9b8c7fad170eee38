package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/disk"
	diskcopy "github.com/banger-vm/banger/internal/disk/copy"
	"github.com/banger-vm/banger/internal/disk/guestcow"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/none"
	usernet "github.com/banger-vm/banger/internal/network/user"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// parts are the daemon's long-lived parts.
type parts struct {
	store  *store.Store
	events *event.Log
	ops    *operation.Registry
	images *image.Registry
	vms    *vm.Manager
}

// verdicts is where the cache keeps what was found out about this host.
const verdicts = "probe"

// Drivers makes the VMM drivers of this build; monitors use the same.
func Drivers(cacheDir string) map[string]func(*slog.Logger) vmm.Driver {
	return map[string]func(*slog.Logger) vmm.Driver{
		"qemu": func(log *slog.Logger) vmm.Driver {
			return qemu.New(hostexec.Host{}, log, qemu.Config{CacheDir: filepath.Join(cacheDir, verdicts)})
		},
	}
}

// wire makes the parts, lets the VMs be joined, and takes up what an earlier
// daemon left unfinished.
func (d *Daemon) wire(ctx context.Context) (*parts, error) {
	state := d.places.StateDir
	db, err := store.Open(ctx, filepath.Join(state, "banger.db"))
	if err != nil {
		return nil, err
	}
	p := &parts{store: db}
	claims := claim.NewTable()
	if p.events, err = event.Open(ctx, db, d.log, event.Config{Decode: operation.EventData}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	run := hostexec.Host{}
	var imagePlans, vmPlans map[string]operation.Planner
	planners := make(map[string]operation.Planner)
	p.images = image.NewRegistry(db, bootstrapper(d, run), d.log, image.Config{
		Dir:   filepath.Join(state, "images"),
		Users: func(ctx context.Context, id string) ([]string, error) { return p.vms.ImageUsers(ctx, id) },
	})
	kernels := kernel.New(kernel.Config{Dir: filepath.Join(state, "kernels")},
		debian.New(debian.Config{CacheDir: d.places.CacheDir}, run), run, d.log)
	guestBinary, err := companion("banger-guest")
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("finding the daemon's own program: %w", err), p.close())
	}
	drivers := make(map[string]vmm.Driver)
	for name, make := range Drivers(d.places.CacheDir) {
		drivers[name] = make(d.log)
	}
	p.vms = vm.New(vm.Parts{
		Store: db,
		Runtime: control.New(d.log, control.Config{
			Program: self, Args: []string{"--cache-dir", d.places.CacheDir, "--log-level", or(d.settings.Log.Level, "info")},
		}),
		Images:   imageSource{p.images, func() *operation.Registry { return p.ops }},
		Kernels:  kernelSource{kernels, guestBinary},
		Work:     workDisks{run},
		VMMs:     vmms{drivers, d.settings.VMM},
		Disks:    byName[disk.Driver](guestcow.New(), diskcopy.New()),
		Networks: byName[network.Driver](none.New(), usernet.New()),
		Claims:   claims, Events: p.events, Log: d.log,
	}, vm.Config{
		Dir:         filepath.Join(state, "vms"),
		BootTimeout: time.Duration(d.settings.BootTimeout), StopTimeout: time.Duration(d.settings.StopTimeout),
	})
	imagePlans, vmPlans = p.images.Planners(), p.vms.Planners()
	for _, plans := range []map[string]operation.Planner{imagePlans, vmPlans} {
		for kind, planner := range plans {
			planners[kind] = planner
		}
	}
	p.ops = operation.New(db, claims, p.events, d.log, operation.Config{Planners: planners})
	if err := errors.Join(p.vms.Start(ctx, p.ops), p.ops.Recover(ctx), p.vms.CleanUp(ctx)); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// close stops the parts in the reverse order of their making. Operations are
// interrupted, not undone: the next daemon takes them up.
func (p *parts) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	if p.ops != nil {
		errs = append(errs, p.ops.Close(ctx))
	}
	if p.vms != nil {
		p.vms.Close()
	}
	if p.events != nil {
		errs = append(errs, p.events.Close(ctx))
	}
	return errors.Join(append(errs, p.store.Close())...)
}

func (p *parts) monitorSocket(dir string) string { return filepath.Join(dir, control.SocketFile) }

func bootstrapper(d *Daemon, run hostexec.Runner) *bootstrap.Builder {
	return bootstrap.New(bootstrap.Config{CacheDir: filepath.Join(d.places.CacheDir, "images"), UID: os.Geteuid()}, run, d.log)
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

// companion finds a program of banger's own: beside this one, then in
// ../libexec/banger.
func companion(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding banger's own programs: %w", err)
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "..", "libexec", "banger", name)} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return filepath.Clean(path), nil
		}
	}
	return "", fmt.Errorf("%s is neither beside %s nor in its libexec/banger: install it there (make build puts it there)", name, self)
}

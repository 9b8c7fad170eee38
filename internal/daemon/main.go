package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/monitor"
	usernet "github.com/banger-vm/banger/internal/network/user"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/version"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/install"
)

// Main runs bangerd's command line and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == firecracker.StageArg {
		return firecracker.Stage(args[1:], stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	run, title := mainDaemon, "bangerd"
	if len(args) > 0 && args[0] == "monitor" {
		run, title, args = mainMonitor, "bangerd monitor", args[1:]
	}
	if len(args) > 0 && args[0] == "doctor" {
		run, title, args = mainDoctor, "bangerd doctor", args[1:]
	}
	err := run(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n", title, err)
	var f *fault.Error
	if errors.As(err, &f) && f.Hint != "" {
		fmt.Fprintf(stderr, "  hint: %s\n", f.Hint)
	}
	return 1
}

func mainDaemon(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bangerd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var f places.Flags
	flags.StringVar(&f.StateDir, "state-dir", "", "where VMs and images are kept")
	flags.StringVar(&f.RuntimeDir, "runtime-dir", "", "where the daemon's socket lies")
	flags.StringVar(&f.Socket, "socket", "", "the daemon's socket")
	show := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *show {
		_, err := fmt.Fprintln(stdout, "bangerd", version.Version)
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see bangerd -h", flags.Arg(0))
	}
	p, err := places.Resolve(f, places.SystemEnv())
	if err != nil {
		return err
	}
	return Run(ctx, p)
}

// mainMonitor ignores SIGINT and SIGTERM for the VM: the monitor goes, the VM
// stays. Its name and directory on the command line are for people's ps.
func mainMonitor(ctx context.Context, args []string, _, stderr io.Writer) error {
	flags := flag.NewFlagSet("bangerd monitor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("name", "", "the VM's name")
	var o monitor.Options
	flags.StringVar(&o.Dir, "dir", "", "the VM's directory")
	flags.BoolVar(&o.Adopt, "adopt", false, "take the running VM over")
	flags.IntVar(&o.ListenFD, "listen-fd", -1, "a listening socket that was handed over")
	cacheDir := flags.String("cache-dir", "", "where verdicts about this host are kept")
	finder := install.Finder{Given: map[string]install.Given{}}
	flags.StringVar(&finder.Dir, "vmm-dir", "", "where installed VMMs are")
	flags.Func("vmm-binary", "NAME=PATH, the program of a VMM", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok || !filepath.IsAbs(path) {
			return errors.New("it is not NAME=PATH")
		}
		finder.Given[name] = install.Given{Path: path}
		return nil
	})
	flags.StringVar(&o.Log.Level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.Log.Format, "log-format", "text", "text or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Writable = []string{filepath.Join(*cacheDir, verdicts)}
	o.Drivers = monitorDrivers(finder, driverConfig{
		cacheDir: o.Writable[0], settle: monitor.Settle(unit.New(unit.SystemConfig()), o.Dir, *name),
	})
	o.Networks = map[string]monitor.Carry{usernet.DriverName: usernet.Carry}
	o.Executable = executables(finder)
	return monitor.Main(ctx, o)
}

// monitorDrivers are the drivers by name, each with the program that is in use
// when the monitor begins.
func monitorDrivers(finder install.Finder, cfg driverConfig) map[string]func(*slog.Logger) vmm.Driver {
	all := map[string]func(*slog.Logger) vmm.Driver{}
	for _, d := range drivers {
		all[d.name] = func(log *slog.Logger) vmm.Driver {
			cfg := cfg
			cfg.binary, _ = finder.Find(d.name)
			return d.make(log, cfg)
		}
	}
	return all
}

// executables are the places of VMMs that are not the system's.
func executables(finder install.Finder) []string {
	paths := []string{finder.Dir}
	for _, given := range finder.Given {
		paths = append(paths, given.Path)
	}
	return paths
}

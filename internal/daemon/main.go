package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/monitor"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/version"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
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
	flags.StringVar(&o.Log.Level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.Log.Format, "log-format", "text", "text or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Drivers = Drivers(*cacheDir, monitor.Settle(unit.New(unit.SystemConfig()), o.Dir, *name))
	o.Writable = []string{filepath.Join(*cacheDir, verdicts)}
	return monitor.Main(ctx, o)
}

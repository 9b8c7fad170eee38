package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/reach"
	"github.com/banger-vm/banger/internal/cli/show"
)

// specFlags are the flags that say what a VM is.
type specFlags struct {
	spec         api.VMSpec
	memory, disk string
	labels       []string
	forwards     []string
	auto         bool
}

// diskDrivers are the values of --disk-driver.
var diskDrivers = []string{"guestcow", "copy", "reflink", "qcow2"}

func (f *specFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.spec.Name, "name", "n", "", "`name` of the VM (made up if not given)")
	fs.IntVarP(&f.spec.CPUs, "cpus", "c", 1, "`number` of virtual CPUs")
	fs.StringVarP(&f.memory, "memory", "m", "512M", "`size` of the memory")
	fs.StringVar(&f.disk, "disk", "16G", "`size` of the work disk")
	fs.StringVar(&f.spec.Network, "network", "", "network: user or none (default user)")
	fs.StringArrayVar(&f.spec.AllowHosts, "allow-host", nil, "let the guest reach `ADDRESS[/BITS][:PORT]` of this host or a private network; may be repeated")
	fs.StringVar(&f.spec.DiskDriver, "disk-driver", "", "what makes the root: "+strings.Join(diskDrivers, ", ")+" (default guestcow, where the kernel can)")
	fs.StringVar(&f.spec.Kernel, "kernel", "", "kernel: see banger kernel ls (default debian)")
	fs.StringVar(&f.spec.VMM, "vmm", "", "virtual machine monitor: auto, firecracker or qemu (default auto, or what config.toml says)")
	fs.StringVar(&f.spec.Accel, "accel", "", "acceleration: auto, kvm or tcg (default auto)")
	fs.StringArrayVarP(&f.forwards, "publish", "p", nil, "lead a port of this host to one of the VM, `[ADDR:]HOST:GUEST`; HOST 0 is any free one; may be repeated")
	fs.BoolVar(&f.auto, "auto-forward", false, "the same for each port from 1024 on that the guest listens on (default what config.toml says, else false)")
	fs.StringArrayVar(&f.labels, "label", nil, "a label, `KEY=VALUE`; may be repeated")
	if err := cmd.RegisterFlagCompletionFunc("disk-driver", cobra.FixedCompletions(diskDrivers, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
	fs.StringVar(&f.spec.Restart, "restart", "", "start it again when it ends by itself: no, on-failure, on-failure:N (N times in a row at most) or always (default no)")
	fs.BoolVar(&f.spec.Autostart, "autostart", false, "start it with the host")
	app.CompleteRestart(cmd)
	app.CompleteNetwork(cmd)
}

// resolve returns the spec. What was given, even if empty or 0, is never
// taken for a default.
func (f *specFlags) resolve(cmd *cobra.Command) (api.VMSpec, error) {
	given := cmd.Flags().Changed
	switch {
	case given("name") && f.spec.Name == "":
		return f.spec, app.Usagef("the name is empty")
	case given("kernel") && f.spec.Kernel == "":
		return f.spec, app.Usagef("the kernel is empty")
	case given("vmm") && f.spec.VMM == "":
		return f.spec, app.Usagef("the VMM is empty")
	case given("restart") && f.spec.Restart == "":
		return f.spec, app.Usagef("the restart policy is empty")
	case given("cpus") && f.spec.CPUs < 1:
		return f.spec, app.Usagef("a VM cannot have %d CPUs", f.spec.CPUs)
	}
	for _, s := range []struct {
		flag, text string
		to         *int64
	}{{"memory", f.memory, &f.spec.MemoryBytes}, {"disk", f.disk, &f.spec.DiskBytes}} {
		if !given(s.flag) {
			continue
		}
		n, err := app.Size(s.flag, s.text)
		if err != nil {
			return f.spec, err
		}
		*s.to = n
	}
	var err error
	if f.spec.Forwards, err = reach.Forwards(f.forwards); err != nil {
		return f.spec, err
	}
	if given("auto-forward") {
		f.spec.AutoForward = &f.auto
	}
	if !given("cpus") {
		f.spec.CPUs = 0 // the daemon knows the default
	}
	f.spec.Labels, err = app.NewLabels(f.labels)
	return f.spec, err
}

// environment reads -e: KEY=VALUE, or KEY for this process's own value.
func environment(given []string) ([]string, error) {
	var env []string
	for _, e := range given {
		key, _, ok := strings.Cut(e, "=")
		if key == "" {
			return nil, app.Usagef("the variable %q is not KEY=VALUE", show.Safe(e))
		}
		if !ok {
			value, set := os.LookupEnv(key)
			if !set {
				continue
			}
			e = key + "=" + value
		}
		env = append(env, e)
	}
	return env, nil
}

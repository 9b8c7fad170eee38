package daemons

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

// NewInfo makes the command info.
func NewInfo(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what this host has, and what of it VMs may take",
		Long: `Show what this host has, and what of it the VMs that run have and may yet take.
A start that does not fit is refused, unless with --force; memory_overcommit,
cpu_overcommit and disk_reserve in config.toml say what fits.`,
		Args: app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			i, err := c.DaemonInfo(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(i)
			}
			return show.Fields(a.Out, infoFields(i)...)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func infoFields(i api.HostInfo) []string {
	return []string{
		"Version", i.Daemon.Version, "Kernel", "Linux " + show.Safe(i.Kernel), "State", i.Daemon.StateDir,
		"VMs", fmt.Sprintf("%d, %d running", i.Daemon.VMs, i.Daemon.Running),
		"Images", strconv.Itoa(i.Images), "Kernels", strconv.Itoa(i.Kernels),
		"CPUs", fmt.Sprintf("%d; VMs that run have %d of at most %d (cpu_overcommit %g)",
			i.CPUs, i.Running.CPUs, int(float64(i.CPUs)*i.CPUOvercommit), i.CPUOvercommit),
		"Memory", fmt.Sprintf("%s, %s available; VMs that run have %s and may yet take %s (memory_overcommit %g)",
			size.Format(i.MemoryBytes), size.Format(i.AvailableBytes), size.Format(i.Running.MemoryBytes), size.Format(i.Running.YetBytes), i.MemoryOvercommit),
		"Disk", fmt.Sprintf("%s, %s free; %s of it are kept free (disk_reserve)", size.Format(i.DiskBytes), size.Format(i.FreeBytes), size.Format(i.DiskReserve)),
	}
}

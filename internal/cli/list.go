package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newList(a *app) *cobra.Command {
	return listCommand(a, "ls", "List VMs", true)
}

func newPS(a *app) *cobra.Command {
	return listCommand(a, "ps", "List the VMs that run", false)
}

func listCommand(a *app, use, short string, all bool) *cobra.Command {
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			vms, err := c.VMList(cmd.Context(), api.VMListRequest{All: all})
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return a.json(vms)
			case quiet:
				for _, vm := range vms {
					if err := a.line(vm.ID); err != nil {
						return err
					}
				}
				return nil
			}
			return a.vmTable(vms)
		},
	}
	if use == "ls" {
		cmd.Aliases = []string{"list"}
	}
	cmd.Flags().BoolVarP(&all, "all", "a", all, "also those that do not run")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (a *app) vmTable(vms []api.VM) error {
	t := show.NewTable("NAME", "ID", "IMAGE", "CPUS", "MEMORY", "CREATED", "STATE")
	for _, vm := range vms {
		state := string(vm.State)
		if vm.Reason != "" {
			state += " (" + clip(vm.Reason, 60) + ")"
		}
		t.Row(vm.Name, short(vm.ID), vm.Spec.Image, strconv.Itoa(vm.Spec.CPUs), show.Size(vm.Spec.MemoryBytes),
			show.Age(a.now().Sub(vm.CreatedAt))+" ago", state)
	}
	return t.Write(a.out)
}

// clip shortens what would not fit a table.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

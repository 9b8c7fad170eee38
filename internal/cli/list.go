package cli

import (
	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newList(a *app.App) *cobra.Command {
	return listCommand(a, "ls", "List VMs", true)
}

func newPS(a *app.App) *cobra.Command {
	return listCommand(a, "ps", "List the VMs that run", false)
}

func listCommand(a *app.App, use, short string, all bool) *cobra.Command {
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			vms, err := c.VMList(cmd.Context(), api.VMListRequest{All: all})
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return a.JSON(vms)
			case quiet:
				for _, vm := range vms {
					if err := a.Line(vm.ID); err != nil {
						return err
					}
				}
				return nil
			}
			return show.VMs(a.Out, a.Now(), vms)
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

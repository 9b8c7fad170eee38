package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/noun"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newList(a *app.App) *cobra.Command {
	return listCommand(a, "ls", "List VMs", true)
}

func newPS(a *app.App) *cobra.Command {
	return listCommand(a, "ps", "List the VMs that run", false)
}

func listCommand(a *app.App, use, short string, all bool) *cobra.Command {
	var labels app.Labels
	cmd := noun.List[api.VM]{
		Short: short,
		Fetch: func(ctx context.Context, c *client.Client) ([]api.VM, error) {
			if err := labels.Check(); err != nil {
				return nil, err
			}
			return c.VMList(ctx, api.VMListRequest{All: all, Labels: labels.Want})
		},
		ID:    func(vm api.VM) string { return vm.ID },
		Table: show.VMs,
	}.Command(a)
	if use != "ls" {
		cmd.Use, cmd.Aliases = use, nil
	}
	cmd.Flags().BoolVarP(&all, "all", "a", all, "also those that do not run")
	labels.Register(a, cmd)
	return cmd
}

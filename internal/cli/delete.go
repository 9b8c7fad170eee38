package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func newDelete(a *app.App) *cobra.Command {
	var force bool
	var how app.Waiting
	var labels app.Labels
	cmd := &cobra.Command{
		Use:     "rm [flags] VM…",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove VMs and all that belongs to them",
		Args:    labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.EachChosen(cmd, args, labels, app.Action{How: how}, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMDelete(ctx, api.VMDeleteRequest{VM: vm, Force: force})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill it first if it runs")
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

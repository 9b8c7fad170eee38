package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func newKill(a *app.App) *cobra.Command {
	var how app.Waiting
	var labels app.Labels
	cmd := &cobra.Command{
		Use:   "kill [flags] VM…",
		Short: "End VMs at once, as pulling the plug does",
		Args:  labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.EachChosen(cmd, args, labels, app.Action{How: how}, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMKill(ctx, api.VMActionRequest{VM: vm})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

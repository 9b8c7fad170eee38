package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func newStop(a *app.App) *cobra.Command {
	var how app.Waiting
	var labels app.Labels
	var timeout app.Seconds
	cmd := &cobra.Command{
		Use:   "stop [flags] VM…",
		Short: "Stop VMs gracefully; stopped ones stay as they are",
		Args:  labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.EachChosen(cmd, args, labels, app.Action{How: how}, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMStop(ctx, api.VMStopRequest{VM: vm, TimeoutMS: time.Duration(timeout).Milliseconds()})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().VarP(&timeout, "timeout", "t", "how long the guest may take before it is killed: 30s, 2m (default 1m); to end it at once: banger kill")
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	return cmd
}

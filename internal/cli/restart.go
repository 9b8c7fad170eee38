package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/reach"
)

func newRestart(a *app.App) *cobra.Command {
	var how app.Waiting
	var labels app.Labels
	var timeout app.Seconds
	var force bool
	cmd := &cobra.Command{
		Use:   "restart [flags] VM…",
		Short: "Stop VMs gracefully and start them again; stopped ones are started",
		Args:  labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			act := app.Action{How: how, Tell: reach.TellChosen}
			return a.EachChosen(cmd, args, labels, act, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMRestart(ctx, api.VMStopRequest{VM: vm, TimeoutMS: time.Duration(timeout).Milliseconds(), Force: force})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().VarP(&timeout, "timeout", "t", "how long the guest may take to stop before it is killed: 30s, 2m (default 1m)")
	app.RegisterForce(cmd, &force)
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	return cmd
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func newPause(a *app.App) *cobra.Command {
	cmd := pauses(a, (*client.Client).VMPause)
	cmd.Use, cmd.Short = "pause [flags] VM…", "Stop the processors of running VMs until they are resumed"
	cmd.Long = `Stop the processors of running VMs until they are resumed: their memory stays,
and their connections if nobody gives them up. A pause outlives the daemon; a
stop ends it first, so that the guest can shut down.`
	return cmd
}

func newResume(a *app.App) *cobra.Command {
	cmd := pauses(a, (*client.Client).VMResume)
	cmd.Use, cmd.Short = "resume [flags] VM…", "Let paused VMs go on; running ones stay as they are"
	cmd.Aliases = []string{"unpause"}
	return cmd
}

func pauses(a *app.App, begin func(*client.Client, context.Context, api.VMActionRequest) (api.Operation, error)) *cobra.Command {
	var how app.Waiting
	var labels app.Labels
	cmd := &cobra.Command{
		Args: labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.EachChosen(cmd, args, labels, app.Action{How: how}, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return begin(c, ctx, api.VMActionRequest{VM: vm})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

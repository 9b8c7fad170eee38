package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/auth"
	"github.com/banger-vm/banger/internal/cli/reach"
)

func newStart(a *app.App) *cobra.Command {
	var how app.Waiting
	var labels app.Labels
	var vmm string
	var force bool
	cmd := &cobra.Command{
		Use:   "start [flags] VM…",
		Short: "Start VMs; running ones stay as they are",
		Args:  labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("vmm") && vmm == "" {
				return app.Usagef("the VMM is empty")
			}
			given, err := auth.Refresh(cmd.Context(), a, how.Quiet)
			if err != nil {
				return err
			}
			act := app.Action{Cancel: true, How: how, Tell: reach.TellChosen}
			return a.EachChosen(cmd, args, labels, act, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return given.Send(a, func(auth *api.Auth) (api.Operation, error) {
					return c.VMStart(ctx, api.VMStartRequest{VM: vm, VMM: vmm, Force: force, Auth: auth})
				})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().StringVar(&vmm, "vmm", "", "move them to this virtual machine monitor, or auto; otherwise they stay on their own")
	app.CompleteVMMFlag(a, cmd)
	app.RegisterForce(cmd, &force)
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

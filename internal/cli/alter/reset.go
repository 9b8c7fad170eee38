package alter

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/reach"
)

// NewReset makes the command reset.
func NewReset(a *app.App) *cobra.Command {
	var force bool
	var how app.Waiting
	var labels app.Labels
	var timeout app.Seconds
	cmd := &cobra.Command{
		Use:   "reset [flags] VM…",
		Short: "Make the root of VMs what their image is; the homes stay",
		Long: `Drop all that was written to the root of VMs: packages, settings, everything but
the login user's home, which is on the work disk. A VM stays what it is: name, ID,
settings, machine ID and SSH host keys. One that runs is refused, unless -f is
given: then it is stopped, reset and started again.`,
		Args: labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("timeout") && !force {
				return app.Usagef("-t is for -f: nothing is stopped without it")
			}
			act := app.Action{Cancel: true, How: how, Tell: reach.TellChosen}
			return a.EachChosen(cmd, args, labels, act, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMReset(ctx, api.VMResetRequest{VM: vm, Force: force, TimeoutMS: time.Duration(timeout).Milliseconds()})
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop it first if it runs, and start it again after that")
	cmd.Flags().VarP(&timeout, "timeout", "t", "with -f: how long the guest may take to stop before it is killed: 30s, 2m (default 1m)")
	labels.Register(a, cmd)
	how.Register(cmd, "no progress")
	return cmd
}

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

func newStop(a *app) *cobra.Command {
	var quiet bool
	var timeout seconds
	cmd := &cobra.Command{
		Use:   "stop [flags] VM…",
		Short: "Stop VMs gracefully; stopped ones stay as they are",
		Args:  takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ms := max(time.Duration(timeout).Milliseconds(), 0)
			if cmd.Flags().Changed("timeout") && ms == 0 {
				return usagef("--timeout: to end a VM at once, use: banger kill")
			}
			return a.each(cmd, args, false, quiet, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMStop(ctx, api.VMStopRequest{VM: vm, TimeoutMS: ms})
			})
		},
		ValidArgsFunction: a.completeVMs,
	}
	cmd.Flags().VarP(&timeout, "timeout", "t", "how long the guest may take before it is killed: 30s, 2m (default 1m)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

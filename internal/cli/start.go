package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

func newStart(a *app) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "start VM…",
		Short: "Start VMs; running ones stay as they are",
		Args:  takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd, args, true, quiet, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMStart(ctx, api.VMActionRequest{VM: vm})
			})
		},
		ValidArgsFunction: a.completeVMs,
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

func newDelete(a *app) *cobra.Command {
	var force, quiet bool
	cmd := &cobra.Command{
		Use:     "rm [flags] VM…",
		Aliases: []string{"delete"},
		Short:   "Remove VMs and all that belongs to them",
		Args:    takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd, args, false, quiet, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				return c.VMDelete(ctx, api.VMDeleteRequest{VM: vm, Force: force})
			})
		},
		ValidArgsFunction: a.completeVMs,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill it first if it runs")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

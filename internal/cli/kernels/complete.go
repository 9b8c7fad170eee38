package kernels

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

// Complete completes the names of kernels for a shell. It starts no daemon.
func Complete(a *app.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return app.Names(a, cmd, func(ctx context.Context, c *client.Client) ([]api.Kernel, error) { return c.KernelList(ctx) },
			func(k api.Kernel) string { return k.Name }), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteFlag completes --kernel.
func CompleteFlag(a *app.App, cmd *cobra.Command) {
	if err := cmd.RegisterFlagCompletionFunc("kernel", Complete(a)); err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
}

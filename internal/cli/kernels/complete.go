package kernels

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/app"
)

// patience bounds what a shell waits for.
const patience = 300 * time.Millisecond

// Complete completes the names of kernels for a shell. It starts no daemon.
func Complete(a *app.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return names(a, cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteFlag completes --kernel.
func CompleteFlag(a *app.App, cmd *cobra.Command) {
	if err := cmd.RegisterFlagCompletionFunc("kernel", Complete(a)); err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
}

func names(a *app.App, cmd *cobra.Command) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	c, err := a.Existing()
	if err != nil {
		return nil
	}
	kernels, err := c.KernelList(ctx)
	if err != nil {
		return nil
	}
	names := make([]string, len(kernels))
	for i, k := range kernels {
		names[i] = k.Name
	}
	return names
}

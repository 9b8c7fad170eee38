package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
)

// completeVMs completes the names of VMs for a shell. It starts no daemon and
// does not keep anybody waiting.
func completeVMs(a *app.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if cmd.Name() == "exec" && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 300*time.Millisecond)
		defer cancel()
		c, err := a.Existing()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		vms, err := c.VMList(ctx, api.VMListRequest{All: true})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := make([]string, len(vms))
		for i, vm := range vms {
			names[i] = vm.Name
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

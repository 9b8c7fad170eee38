package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// completion bounds what a shell waits for.
const completion = 300 * time.Millisecond

// Names asks the daemon for the names that a shell completes. It starts no daemon
// and does not keep anybody waiting: then there are none.
func Names[T any](a *App, cmd *cobra.Command, fetch func(context.Context, *client.Client) ([]T, error), name func(T) string) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completion)
	defer cancel()
	c, err := a.Existing()
	if err != nil {
		return nil
	}
	all, err := fetch(ctx, c)
	if err != nil {
		return nil
	}
	names := make([]string, len(all))
	for i, each := range all {
		names[i] = name(each)
	}
	return names
}

// CompleteVMs completes the names of VMs for a shell.
func CompleteVMs(a *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			switch cmd.Name() {
			case "exec":
				return nil, cobra.ShellCompDirectiveDefault
			case "shell", "logs", "console", "dial", "ssh", "rename":
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
		}
		return Names(a, cmd, listAll, func(vm api.VM) string { return vm.Name }), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteImages completes the first argument as the name of an image, in the
// same way; what follows is of the kind rest.
func CompleteImages(a *App, rest cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, rest
		}
		return Names(a, cmd, func(ctx context.Context, c *client.Client) ([]api.Image, error) { return c.ImageList(ctx) },
			func(i api.Image) string { return i.Name }), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteVMMs completes the first most arguments as names of VMMs, in the same way.
func CompleteVMMs(a *App, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return vmmNames(a, cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteVMMFlag completes --vmm.
func CompleteVMMFlag(a *App, cmd *cobra.Command) {
	err := cmd.RegisterFlagCompletionFunc("vmm", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return append([]string{"auto"}, vmmNames(a, cmd)...), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
}

// CompleteRestart completes --restart.
func CompleteRestart(cmd *cobra.Command) {
	complete(cmd, "restart", "no", "on-failure", "always")
}

// CompleteNetwork completes --network.
func CompleteNetwork(cmd *cobra.Command) { complete(cmd, "network", "user", "none") }

func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
}

func vmmNames(a *App, cmd *cobra.Command) []string {
	return Names(a, cmd, func(ctx context.Context, c *client.Client) ([]api.VMM, error) {
		return c.VMMList(ctx, api.VMMListRequest{})
	}, func(v api.VMM) string { return v.Name })
}

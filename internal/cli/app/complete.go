package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
)

// completion bounds what a shell waits for.
const completion = 300 * time.Millisecond

// CompleteVMs completes the names of VMs for a shell. It starts no daemon and
// does not keep anybody waiting.
func CompleteVMs(a *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			switch cmd.Name() {
			case "exec":
				return nil, cobra.ShellCompDirectiveDefault
			case "shell", "logs", "console":
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completion)
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

// CompleteImages completes the first argument as the name of an image, in the
// same way; what follows is of the kind rest.
func CompleteImages(a *App, rest cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, rest
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completion)
		defer cancel()
		c, err := a.Existing()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		images, err := c.ImageList(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := make([]string, len(images))
		for i, image := range images {
			names[i] = image.Name
		}
		return names, cobra.ShellCompDirectiveNoFileComp
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

func vmmNames(a *App, cmd *cobra.Command) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completion)
	defer cancel()
	c, err := a.Existing()
	if err != nil {
		return nil
	}
	vmms, err := c.VMMList(ctx, api.VMMListRequest{})
	if err != nil {
		return nil
	}
	names := make([]string, len(vmms))
	for i, v := range vmms {
		names[i] = v.Name
	}
	return names
}

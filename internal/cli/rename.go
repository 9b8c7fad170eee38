package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func newRename(a *app.App) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:   "rename [flags] VM NAME",
		Short: "Give a VM another name, running or not",
		Long: `Give a VM another name, running or not. Commands, ssh (NAME.vm) and scripts
find it by that at once; by its ID they find it as ever. The guest itself is
called so from its next start on: its host name, and the names of its processes
on this host.`,
		Args: app.Takes(2, 2, "the VM's name or its new one"),
		RunE: func(cmd *cobra.Command, args []string) error {
			act := app.Action{How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMRename(ctx, api.VMRenameRequest{VM: args[0], Name: args[1]})
			}}
			return a.Do(cmd.Context(), act, func(api.Operation) error {
				if !how.Quiet {
					tellHostName(cmd.Context(), a, args[1])
				}
				return a.Line(args[1])
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

// tellHostName tells that a guest that runs does not know its new name. It does
// not fail a rename that succeeded.
func tellHostName(ctx context.Context, a *app.App, name string) {
	c, err := a.Client()
	if err != nil {
		return // what comes next needs it too, and tells
	}
	v, err := c.VMInspect(ctx, name)
	if err == nil && v.Boot != nil && v.Boot.EndedAt.IsZero() {
		a.Say("its guest keeps its host name until its next start (banger restart %s)", name)
	}
}

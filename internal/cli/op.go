package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/noun"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newOp(a *app.App) *cobra.Command {
	op := app.Group("op", "Show and cancel long actions")
	op.AddCommand(newOpList(a), newOpShow(a), newOpCancel(a))
	return op
}

func newOpList(a *app.App) *cobra.Command {
	var all bool
	cmd := noun.List[api.Operation]{
		Short: "List operations, newest first",
		Fetch: func(ctx context.Context, c *client.Client) ([]api.Operation, error) {
			return c.OpList(ctx, api.OpListRequest{All: all})
		},
		ID:    func(op api.Operation) string { return op.ID },
		Table: show.Ops,
	}.Command(a)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	return cmd
}

func newOpShow(a *app.App) *cobra.Command {
	fetch := func(ctx context.Context, c *client.Client, id string) (api.Operation, error) {
		return c.OpShow(ctx, id)
	}
	cmd := noun.Inspect(a, noun.Kind{Name: "ID", What: "the operation's ID", Complete: completeOps(a)}, "Show an operation with its steps", fetch, show.Op)
	cmd.Use, cmd.Aliases = "show ID", []string{"inspect"}
	return cmd
}

func newOpCancel(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID…",
		Short: "Cancel operations and take back what they did",
		Args:  app.Takes(1, -1, "the operation's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			return a.All(cmd, args, func(id string) error {
				op, err := c.OpCancel(cmd.Context(), id)
				if err != nil {
					return err
				}
				return a.Line(op.ID)
			})
		},
		ValidArgsFunction: completeOps(a),
	}
}

// completeOps completes the IDs of the operations under way.
func completeOps(a *app.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return app.Names(a, cmd, func(ctx context.Context, c *client.Client) ([]api.Operation, error) {
			return c.OpList(ctx, api.OpListRequest{})
		}, func(op api.Operation) string { return show.Short(op.ID) + "\t" + op.Kind + " " + show.Safe(op.Name) }), cobra.ShellCompDirectiveNoFileComp
	}
}

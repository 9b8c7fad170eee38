package cli

import (
	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newOp(a *app.App) *cobra.Command {
	op := app.Group("op", "Show and cancel long actions")
	op.AddCommand(newOpList(a), newOpShow(a), newOpCancel(a))
	return op
}

func newOpList(a *app.App) *cobra.Command {
	var all, quiet, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List operations, newest first",
		Args:    app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			ops, err := c.OpList(cmd.Context(), api.OpListRequest{All: all})
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(ops)
			case quiet:
				for _, op := range ops {
					if err := a.Line(op.ID); err != nil {
						return err
					}
				}
				return nil
			}
			return show.Ops(a.Out, a.Now(), ops)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newOpShow(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Aliases: []string{"inspect"},
		Short:   "Show an operation with its steps",
		Args:    app.Takes(1, 1, "the operation's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			op, err := c.OpShow(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(op)
			}
			return show.Op(a.Out, op)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
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
	}
}

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newOp(a *app) *cobra.Command {
	op := group("op", "Show and cancel long actions")
	op.AddCommand(newOpList(a), newOpShow(a), newOpCancel(a))
	return op
}

func newOpList(a *app) *cobra.Command {
	var all, quiet, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List operations, newest first",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			ops, err := c.OpList(cmd.Context(), api.OpListRequest{All: all})
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(ops)
			case quiet:
				for _, op := range ops {
					if err := a.line(op.ID); err != nil {
						return err
					}
				}
				return nil
			}
			return a.opTable(ops)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (a *app) opTable(ops []api.Operation) error {
	t := show.NewTable("ID", "KIND", "NAME", "STATE", "STARTED", "TOOK", "DETAIL")
	for _, op := range ops {
		end, detail := op.EndedAt, ""
		if end.IsZero() {
			end, detail = a.now(), show.Amount(op.Progress)
		}
		if op.Error != nil {
			detail = clip(op.Error.Message, 60)
		}
		t.Row(short(op.ID), op.Kind, op.Name, string(op.State), show.Age(a.now().Sub(op.StartedAt))+" ago",
			show.Millis(float64(end.Sub(op.StartedAt).Milliseconds())), detail)
	}
	return t.Write(a.out)
}

func newOpShow(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Aliases: []string{"inspect"},
		Short:   "Show an operation with its steps",
		Args:    takes(1, 1, "the operation's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			op, err := c.OpShow(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(op)
			}
			return a.opFields(op)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (a *app) opFields(op api.Operation) error {
	fields := []string{
		"ID", op.ID, "Kind", op.Kind, "Target", strings.TrimSpace(op.Name + " (" + op.Target + ")"), "State", string(op.State),
		"Progress", show.Amount(op.Progress), "Started", op.StartedAt.Local().Format("2006-01-02 15:04:05"),
	}
	if !op.EndedAt.IsZero() {
		fields = append(fields, "Took", show.Millis(float64(op.EndedAt.Sub(op.StartedAt).Milliseconds())))
	}
	if op.Resumed > 0 {
		fields = append(fields, "Resumed", fmt.Sprintf("%d times by a new daemon", op.Resumed))
	}
	if op.Error != nil {
		fields = append(fields, "Error", op.Error.Message, "Hint", op.Error.Hint)
	}
	if err := show.Fields(a.out, fields...); err != nil || len(op.Steps) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	t := show.NewTable("STEP", "STATE", "TOOK")
	for _, s := range op.Steps {
		t.Row(s.Name, s.State, show.Millis(s.MS))
	}
	return t.Write(a.out)
}

func newOpCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID…",
		Short: "Cancel operations and take back what they did",
		Args:  takes(1, -1, "the operation's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			for _, id := range args {
				op, err := c.OpCancel(cmd.Context(), id)
				if err != nil {
					return err
				}
				if err := a.line(op.ID); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Package noun makes the commands that all kinds of things have: ls, inspect, rm.
package noun

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

// List is what a command that lists things of one kind needs to know.
type List[T any] struct {
	Short string
	Fetch func(ctx context.Context, c *client.Client) ([]T, error)
	ID    func(T) string
	Table func(w io.Writer, now time.Time, all []T) error
}

// Command makes the command ls, with -q and --json.
func (l List[T]) Command(a *app.App) *cobra.Command {
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   l.Short,
		Args:    app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			all, err := l.Fetch(cmd.Context(), c)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(all)
			case quiet:
				for _, each := range all {
					if err := a.Line(l.ID(each)); err != nil {
						return err
					}
				}
				return nil
			}
			return l.Table(a.Out, a.Now(), all)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// Kind is a kind of things, of which a command takes one or several.
type Kind struct {
	Name     string // as a usage line has it: IMAGE
	What     string // its name in messages: the image's name
	Complete cobra.CompletionFunc
}

// Inspect makes a command that shows one in full, with --json.
func Inspect[T any](a *app.App, k Kind, short string, fetch func(ctx context.Context, c *client.Client, name string) (T, error), write func(w io.Writer, one T) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "inspect " + k.Name,
		Short:             short,
		Args:              app.Takes(1, 1, k.What),
		ValidArgsFunction: k.Complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			one, err := fetch(cmd.Context(), c, args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(one)
			}
			return write(a.Out, one)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// Remove makes the command rm.
func Remove(a *app.App, k Kind, short string, begin func(ctx context.Context, c *client.Client, name string) (api.Operation, error)) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:               "rm [flags] " + k.Name + "…",
		Aliases:           []string{"remove", "delete"},
		Short:             short,
		Args:              app.Takes(1, -1, k.What),
		ValidArgsFunction: k.Complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Each(cmd, args, app.Action{How: how}, begin)
		},
	}
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// Each carries out an action for every name, and prints the names of those
// that succeeded. It goes on after a failure; the first one decides the exit
// code. act has all but Begin.
func (a *App) Each(cmd *cobra.Command, names []string, act Action, begin func(context.Context, *client.Client, string) (api.Operation, error)) error {
	return a.EachChosen(cmd, names, Labels{}, act, begin)
}

// EachChosen is Each for VMs that may be chosen by their labels.
func (a *App) EachChosen(cmd *cobra.Command, names []string, l Labels, act Action, begin func(context.Context, *client.Client, string) (api.Operation, error)) error {
	vms, err := a.Choose(cmd.Context(), names, l)
	if err != nil {
		return err
	}
	return a.All(cmd, vms.Refs, func(ref string) error {
		act.Begin = func(ctx context.Context, c *client.Client) (api.Operation, error) { return begin(ctx, c, ref) }
		return a.Do(cmd.Context(), act, func(op api.Operation) error {
			if act.TellOf != nil && !act.How.Quiet {
				act.TellOf(a, vms.Name(ref), op)
			}
			if act.Tell != nil && !act.How.Quiet {
				act.Tell(cmd.Context(), a, ref)
			}
			return a.Line(vms.Name(ref))
		})
	})
}

// All does something for every name. It goes on after a failure; the first one
// decides the exit code.
func (a *App) All(cmd *cobra.Command, names []string, do func(name string) error) error {
	var first error
	for _, name := range names {
		err := do(name)
		if errors.Is(err, ErrInterrupted) {
			return err
		}
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		if len(names) > 1 {
			code := a.Report(cmd, err)
			if first == err {
				first = CodeError(code)
			}
		}
	}
	return first
}

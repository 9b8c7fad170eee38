package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// each carries out an action for every name, and prints the names of those
// that succeeded. It goes on after a failure; the first one decides the exit
// code.
func (a *app) each(cmd *cobra.Command, names []string, cancel, quiet bool, begin func(context.Context, *client.Client, string) (api.Operation, error)) error {
	var first error
	for _, name := range names {
		_, err := a.operate(cmd.Context(), action{
			begin:  func(ctx context.Context, c *client.Client) (api.Operation, error) { return begin(ctx, c, name) },
			cancel: cancel,
			quiet:  quiet,
		})
		if errors.Is(err, errInterrupted) {
			return err
		}
		if err == nil {
			err = a.line(name)
		}
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		if len(names) > 1 {
			code := a.report(cmd, err)
			if first == err {
				first = codeError(code)
			}
		}
	}
	return first
}

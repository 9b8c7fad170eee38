package vitals

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// booting is the error of a guest that does not answer yet: only without a daemon
// the exit code is that of none.
func booting(ctx context.Context, a *app.App, c *client.Client, vm string, err error) error {
	if _, err := c.VMInspect(ctx, vm); err != nil {
		return err
	}
	hint := ""
	if e := new(api.Error); errors.As(err, &e) {
		hint = e.Hint
	}
	a.Tell(err, hint)
	return app.CodeError(1)
}

// NewHealth makes the command health.
func NewHealth(a *app.App) *cobra.Command {
	var timeout app.Seconds
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "health VM",
		Short: "Show how a VM's guest is: load, memory, free space",
		Args:  app.Takes(1, 1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			h, err := c.VMHealth(cmd.Context(), api.VMAskRequest{VM: args[0], TimeoutMS: time.Duration(timeout).Milliseconds()})
			switch {
			case api.KindOf(err) == api.KindUnavailable:
				return booting(cmd.Context(), a, c, args[0], err)
			case err != nil:
				return err
			case asJSON:
				return a.JSON(h)
			}
			return show.Health(a.Out, h)
		},
		ValidArgsFunction: completeOne(a),
	}
	cmd.Flags().VarP(&timeout, "timeout", "t", "how long the guest may take to answer (default 5s)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

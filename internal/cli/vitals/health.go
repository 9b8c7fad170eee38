package vitals

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

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

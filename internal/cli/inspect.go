package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newInspect(a *app.App) *cobra.Command {
	var asJSON bool
	var labels app.Labels
	cmd := &cobra.Command{
		Use:   "inspect [flags] VM…",
		Short: "Show VMs in full",
		Args:  labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			chosen, err := a.Choose(cmd.Context(), args, labels)
			if err != nil {
				return err
			}
			vms := []api.VM{}
			for _, ref := range chosen.Refs {
				vm, err := c.VMInspect(cmd.Context(), ref)
				if err != nil {
					return err
				}
				vms = append(vms, vm)
			}
			switch {
			case asJSON && len(args) == 1:
				return a.JSON(vms[0])
			case asJSON:
				return a.JSON(vms)
			}
			for i, vm := range vms {
				if i > 0 {
					fmt.Fprintln(a.Out)
				}
				if err := show.VM(a.Out, vm); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON: an object, an array for several")
	labels.Register(a, cmd)
	return cmd
}

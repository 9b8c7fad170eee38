package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/auth"
	"github.com/banger-vm/banger/internal/cli/kernels"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newCreate(a *app.App) *cobra.Command {
	var f specFlags
	var own auth.Flags
	var image string
	var how app.Waiting
	cmd := &cobra.Command{
		Use:   "create [flags] [IMAGE]",
		Short: "Make a VM",
		Args:  app.Takes(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.resolve(cmd)
			if err != nil {
				return err
			}
			if spec.Image, err = chosenImage(cmd, image, args); err != nil {
				return err
			}
			given, err := own.Gather(cmd.Context(), a, how.Quiet)
			if err != nil {
				return err
			}
			act := app.Action{Cancel: true, How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return given.Send(a, func(auth *api.Auth) (api.Operation, error) {
					return c.VMCreateBegin(ctx, api.VMCreateRequest{Spec: spec, Auth: auth})
				})
			}}
			return a.Do(cmd.Context(), act, func(op api.Operation) error {
				if !how.Quiet {
					a.TellWeaker(op)
				}
				return a.Made(op, how.Quiet)
			})
		},
		ValidArgsFunction: app.CompleteImages(a, cobra.ShellCompDirectiveNoFileComp),
	}
	f.register(cmd)
	own.Register(cmd)
	app.CompleteVMMFlag(a, cmd)
	kernels.CompleteFlag(a, cmd)
	cmd.Flags().StringVar(&image, "image", "", "image to stand on (default debian)")
	how.Register(cmd, "print the VM's ID only, and no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

// chosenImage takes the image from the flag or the first argument.
func chosenImage(cmd *cobra.Command, flag string, args []string) (string, error) {
	given := cmd.Flags().Changed("image")
	switch {
	case given && len(args) > 0:
		return "", app.Usagef("the image is given twice, as --image %s and as %s", show.Safe(flag), show.Safe(args[0]))
	case given && flag == "", len(args) > 0 && args[0] == "":
		return "", app.Usagef("the image is empty")
	case len(args) > 0:
		return args[0], nil
	}
	return flag, nil
}

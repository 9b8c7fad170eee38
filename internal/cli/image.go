package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

func newImage(a *app.App) *cobra.Command {
	image := app.Group("image", "Make, show and remove images")
	image.AddCommand(newImageList(a), newImageInspect(a), newImageDelete(a), newImageBootstrap(a))
	return image
}

func newImageList(a *app.App) *cobra.Command {
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List images",
		Args:    app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			images, err := c.ImageList(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(images)
			case quiet:
				for _, i := range images {
					if err := a.Line(i.ID); err != nil {
						return err
					}
				}
				return nil
			}
			t := show.NewTable("NAME", "ID", "OS", "SIZE", "USED", "CREATED", "VMS")
			for _, i := range images {
				t.Row(i.Name, show.Short(i.ID), i.OS, size.Format(i.SizeBytes), size.Format(i.UsedBytes),
					show.Age(a.Now().Sub(i.CreatedAt))+" ago", strconv.Itoa(len(i.VMs)))
			}
			return t.Write(a.Out)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newImageInspect(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show an image in full",
		Args:  app.Takes(1, 1, "the image's name"),

		ValidArgsFunction: app.CompleteImages(a, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			i, err := c.ImageInspect(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(i)
			}
			return show.Fields(a.Out, "Name", i.Name, "ID", i.ID, "OS", i.OS, "User", i.User,
				"Size", size.Format(i.SizeBytes), "Used", size.Format(i.UsedBytes),
				"Created", i.CreatedAt.Local().Format("2006-01-02 15:04:05"), "Recipe", i.Recipe, "VMs", strings.Join(i.VMs, ", "))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newImageDelete(a *app.App) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:     "rm [flags] IMAGE…",
		Aliases: []string{"delete"},
		Short:   "Remove images that no VM stands on",
		Args:    app.Takes(1, -1, "the image's name"),

		ValidArgsFunction: app.CompleteImages(a, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Each(cmd, args, app.Action{How: how}, func(ctx context.Context, c *client.Client, image string) (api.Operation, error) {
				return c.ImageDelete(ctx, api.ImageDeleteRequest{Image: image})
			})
		},
	}
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

func newImageBootstrap(a *app.App) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:   "bootstrap [flags] [NAME]",
		Short: "Make an image from this host's package sources (default debian)",
		Args:  app.Takes(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "debian"
			if len(args) > 0 {
				name = args[0]
			}
			act := app.Action{Cancel: true, How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.ImageBootstrapBegin(ctx, api.ImageBootstrapRequest{Name: name})
			}}
			return a.Do(cmd.Context(), act, func(op api.Operation) error { return a.Made(op, how.Quiet) })
		},
	}
	how.Register(cmd, "print the image's ID only, and no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

package cli

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/noun"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

func newImage(a *app.App) *cobra.Command {
	image := app.Group("image", "Make, show and remove images")
	one := noun.Kind{Name: "IMAGE", What: "the image's name", Complete: app.CompleteImages(a, cobra.ShellCompDirectiveNoFileComp)}
	image.AddCommand(newImageList(a), newImageInspect(a, one), newImageDelete(a, one), newImageBootstrap(a))
	return image
}

func newImageList(a *app.App) *cobra.Command {
	return noun.List[api.Image]{
		Short: "List images",
		Fetch: func(ctx context.Context, c *client.Client) ([]api.Image, error) { return c.ImageList(ctx) },
		ID:    func(i api.Image) string { return i.ID },
		Table: func(w io.Writer, now time.Time, images []api.Image) error {
			t := show.NewTable("NAME", "ID", "OS", "SIZE", "USED", "CREATED", "VMS")
			for _, i := range images {
				t.Row(i.Name, show.Short(i.ID), i.OS, size.Format(i.SizeBytes), size.Format(i.UsedBytes),
					show.Age(now.Sub(i.CreatedAt))+" ago", strconv.Itoa(len(i.VMs)))
			}
			return t.Write(w)
		},
	}.Command(a)
}

func newImageInspect(a *app.App, kind noun.Kind) *cobra.Command {
	fetch := func(ctx context.Context, c *client.Client, name string) (api.Image, error) {
		return c.ImageInspect(ctx, name)
	}
	return noun.Inspect(a, kind, "Show an image in full", fetch, func(w io.Writer, i api.Image) error {
		return show.Fields(w, "Name", i.Name, "ID", i.ID, "OS", i.OS, "User", i.User,
			"Size", size.Format(i.SizeBytes), "Used", size.Format(i.UsedBytes),
			"Created", i.CreatedAt.Local().Format("2006-01-02 15:04:05"), "Recipe", i.Recipe, "VMs", strings.Join(i.VMs, ", "))
	})
}

func newImageDelete(a *app.App, kind noun.Kind) *cobra.Command {
	return noun.Remove(a, kind, "Remove images that no VM stands on", func(ctx context.Context, c *client.Client, image string) (api.Operation, error) {
		return c.ImageDelete(ctx, api.ImageDeleteRequest{Image: image})
	})
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

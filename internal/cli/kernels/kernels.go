// Package kernels has the commands that import, show and remove kernels.
package kernels

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

// New returns the command kernel.
func New(a *app.App) *cobra.Command {
	kernel := app.Group("kernel", "Import, show and remove kernels")
	kernel.AddCommand(newImport(a), newList(a), newInspect(a), newDelete(a))
	return kernel
}

func newImport(a *app.App) *cobra.Command {
	var how app.Waiting
	var req api.KernelImportRequest
	cmd := &cobra.Command{
		Use:   "import [flags] VMLINUZ --modules DIR",
		Short: "Make a kernel for VMs of a vmlinuz and its modules",
		Long: `Make a kernel for VMs of a vmlinuz (or an ELF vmlinux) and the directory of its
modules: /lib/modules/VERSION, or what holds that. The daemon reads them, as the
user that it runs as.`,
		Args: app.Takes(1, 1, "the vmlinuz"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case req.Modules == "":
				return app.Usagef("--modules is missing: the directory of the kernel's modules, such as /lib/modules/VERSION")
			case args[0] == "":
				return app.Usagef("the vmlinuz is empty")
			case cmd.Flags().Changed("name") && req.Name == "":
				return app.Usagef("the name is empty")
			}
			if req.Vmlinuz, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			if req.Modules, err = filepath.Abs(req.Modules); err != nil {
				return err
			}
			act := app.Action{Cancel: true, How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.KernelImportBegin(ctx, req)
			}}
			return a.Do(cmd.Context(), act, func(op api.Operation) error { return a.Made(op, how.Quiet) })
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&req.Modules, "modules", "", "directory of the kernel's modules")
	cmd.Flags().StringVarP(&req.Name, "name", "n", "", "name of the kernel (default its version)")
	how.Register(cmd, "print the kernel's ID only, and no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

func newList(a *app.App) *cobra.Command {
	var quiet, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List kernels",
		Args:    app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			kernels, err := c.KernelList(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(kernels)
			case quiet:
				for _, k := range kernels {
					if err := a.Line(k.ID); err != nil {
						return err
					}
				}
				return nil
			}
			t := show.NewTable("NAME", "ID", "VERSION", "ORIGIN", "SIZE", "CREATED", "LACKS", "VMS")
			for _, k := range kernels {
				t.Row(k.Name, show.Short(k.ID), k.Release, k.Origin, size.Format(k.SizeBytes),
					show.Age(a.Now().Sub(k.CreatedAt))+" ago", strings.Join(k.Lacks, ", "), strconv.Itoa(len(k.VMs)))
			}
			return t.Write(a.Out)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newInspect(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect KERNEL",
		Short: "Show a kernel in full",
		Args:  app.Takes(1, 1, "the kernel's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			k, err := c.KernelInspect(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(k)
			}
			return show.Fields(a.Out, "Name", k.Name, "ID", k.ID, "Version", k.Release, "Origin", k.Origin, "Source", k.Source,
				"Lacks", strings.Join(k.Lacks, ", "), "Size", size.Format(k.SizeBytes),
				"Created", k.CreatedAt.Local().Format("2006-01-02 15:04:05"), "VMs", strings.Join(k.VMs, ", "))
		},
		ValidArgsFunction: Complete(a),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newDelete(a *app.App) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:     "rm [flags] KERNEL…",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove kernels that no VM runs on",
		Args:    app.Takes(1, -1, "the kernel's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Each(cmd, args, app.Action{How: how}, func(ctx context.Context, c *client.Client, kernel string) (api.Operation, error) {
				return c.KernelDelete(ctx, api.KernelDeleteRequest{Kernel: kernel})
			})
		},
		ValidArgsFunction: Complete(a),
	}
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

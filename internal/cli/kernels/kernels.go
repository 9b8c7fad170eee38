// Package kernels has the commands that import, show and remove kernels.
package kernels

import (
	"context"
	"io"
	"path/filepath"
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

// New returns the command kernel.
func New(a *app.App) *cobra.Command {
	kernel := app.Group("kernel", "Import, show and remove kernels")
	one := noun.Kind{Name: "KERNEL", What: "the kernel's name", Complete: Complete(a)}
	kernel.AddCommand(newImport(a), newList(a), newInspect(a, one), newDelete(a, one))
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
	return noun.List[api.Kernel]{
		Short: "List kernels",
		Fetch: func(ctx context.Context, c *client.Client) ([]api.Kernel, error) { return c.KernelList(ctx) },
		ID:    func(k api.Kernel) string { return k.ID },
		Table: func(w io.Writer, now time.Time, kernels []api.Kernel) error {
			t := show.NewTable("NAME", "ID", "VERSION", "ORIGIN", "SIZE", "CREATED", "LACKS", "VMS")
			for _, k := range kernels {
				t.Row(k.Name, show.Short(k.ID), k.Release, k.Origin, size.Format(k.SizeBytes),
					show.Age(now.Sub(k.CreatedAt))+" ago", strings.Join(k.Lacks, ", "), strconv.Itoa(len(k.VMs)))
			}
			return t.Write(w)
		},
	}.Command(a)
}

func newInspect(a *app.App, kind noun.Kind) *cobra.Command {
	fetch := func(ctx context.Context, c *client.Client, name string) (api.Kernel, error) {
		return c.KernelInspect(ctx, name)
	}
	return noun.Inspect(a, kind, "Show a kernel in full", fetch, func(w io.Writer, k api.Kernel) error {
		return show.Fields(w, "Name", k.Name, "ID", k.ID, "Version", k.Release, "Origin", k.Origin, "Source", k.Source,
			"Lacks", strings.Join(k.Lacks, ", "), "Size", size.Format(k.SizeBytes),
			"Created", k.CreatedAt.Local().Format("2006-01-02 15:04:05"), "VMs", strings.Join(k.VMs, ", "))
	})
}

func newDelete(a *app.App, kind noun.Kind) *cobra.Command {
	return noun.Remove(a, kind, "Remove kernels that no VM runs on", func(ctx context.Context, c *client.Client, kernel string) (api.Operation, error) {
		return c.KernelDelete(ctx, api.KernelDeleteRequest{Kernel: kernel})
	})
}

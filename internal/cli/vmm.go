package cli

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newVMM(a *app.App) *cobra.Command {
	vmm := app.Group("vmm", "Show, install and remove virtual machine monitors")
	vmm.AddCommand(newVMMList(a), newVMMInstall(a), newVMMRemove(a))
	return vmm
}

func newVMMList(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List virtual machine monitors and what works with them on this host",
		Long: `List virtual machine monitors and what works with them on this host. Whether KVM
works is found out by booting a tiny guest; the verdict is kept.`,
		Args: app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			vmms, err := c.VMMList(cmd.Context(), api.VMMListRequest{Try: true})
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(vmms)
			}
			return show.VMMs(a.Out, vmms)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newVMMInstall(a *app.App) *cobra.Command {
	var how app.Waiting
	var req api.VMMInstallRequest
	cmd := &cobra.Command{
		Use:   "install [flags] VMM --from FILE|URL --sha256 SUM",
		Short: "Install a virtual machine monitor from its maker's release",
		Long: `Install a virtual machine monitor from its maker's release archive, or from the
program itself: a file, or an address (http, https). The SHA-256 sum is that of
this file, as its maker publishes it. One that is installed already is replaced.`,
		Args: app.Takes(1, 1, "the VMM's name"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.VMM = args[0]
			switch {
			case req.From == "":
				return app.Usagef("--from is missing: a file or an address")
			case req.SHA256 == "":
				return app.Usagef("--sha256 is missing: nothing is installed unchecked")
			}
			if !strings.Contains(req.From, "://") {
				if req.From, err = filepath.Abs(req.From); err != nil {
					return err
				}
			}
			act := app.Action{Cancel: true, How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMMInstallBegin(ctx, req)
			}}
			return a.Do(cmd.Context(), act, func(op api.Operation) error {
				var done api.VMMInstalled
				if err := result(op, &done); err != nil {
					return err
				}
				return a.Line(done.ID + " " + done.Version)
			})
		},
		ValidArgsFunction: app.CompleteVMMs(a, 1),
	}
	cmd.Flags().StringVar(&req.From, "from", "", "release archive or program: a file or an address")
	cmd.Flags().StringVar(&req.SHA256, "sha256", "", "its SHA-256 sum")
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

func newVMMRemove(a *app.App) *cobra.Command {
	var how app.Waiting
	cmd := &cobra.Command{
		Use:     "rm [flags] VMM",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove a virtual machine monitor that banger has installed",
		Args:    app.Takes(1, 1, "the VMM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			act := app.Action{How: how, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMMRemove(ctx, api.VMMRemoveRequest{VMM: args[0]})
			}}
			return a.Do(cmd.Context(), act, func(op api.Operation) error {
				var done api.VMMRemoved
				if err := result(op, &done); err != nil {
					return err
				}
				if len(done.Stopped) > 0 {
					a.Say("%s", show.Safe("stopped VMs that stand on it: "+strings.Join(done.Stopped, ", ")))
					a.Say("%s", show.Safe("  hint: Start them on another one with: banger start --vmm auto "+strings.Join(done.Stopped, " ")))
				}
				return a.Line(done.ID)
			})
		},
		ValidArgsFunction: app.CompleteVMMs(a, 1),
	}
	how.Register(cmd, "no progress")
	how.RegisterTimeout(cmd)
	return cmd
}

// result reads what an operation has made.
func result(op api.Operation, to any) error {
	if err := json.Unmarshal(op.Result, to); err != nil {
		return api.NewError(api.KindInternal, "the daemon's answer is not understood: "+err.Error(), "")
	}
	return nil
}

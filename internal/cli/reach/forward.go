package reach

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

func NewForward(a *app.App) *cobra.Command {
	cmd := newForwardAdd(a, "forward [flags] VM [ADDR:]HOST:GUEST…")
	cmd.Short = "Lead ports of this host to ports of a VM"
	cmd.Long = `Lead TCP ports of this host to ports of a VM: 8080:80, 8080 for the same one,
0:80 for any free one, 0.0.0.0:8080:80 for more than this host's loopback. The
VM needs no network, and its server may listen on its loopback alone. Forwards
are kept: a stopped VM has them from its next start on.`
	cmd.AddCommand(newForwardAdd(a, "add [flags] VM [ADDR:]HOST:GUEST…"), newForwardList(a), newForwardRemove(a))
	return cmd
}

func newForwardAdd(a *app.App, use string) *cobra.Command {
	var auto bool
	cmd := &cobra.Command{
		Use:   use,
		Short: "Lead ports of this host to ports of a VM",
		Args:  app.Takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := api.VMForwardAddRequest{VM: args[0]}
			if cmd.Flags().Changed("auto") {
				req.Auto = &auto
			}
			var err error
			if req.Forwards, err = Forwards(args[1:]); err != nil {
				return err
			}
			if len(req.Forwards) == 0 && req.Auto == nil {
				return app.Usagef("what to forward is missing: write [ADDR:]HOST:GUEST, for instance 8080:80")
			}
			op, err := change(cmd.Context(), a, func(ctx context.Context, c *client.Client) (api.Operation, error) { return c.VMForwardAdd(ctx, req) })
			if err != nil {
				return err
			}
			return tellAdded(cmd.Context(), a, op, req.Forwards)
		},
		ValidArgsFunction: completeFirst(a),
	}
	cmd.Flags().BoolVar(&auto, "auto", false, "also for each port from 1024 on that the guest listens on; --auto=false: no more")
	return cmd
}

// change carries a change of forwards out.
func change(ctx context.Context, a *app.App, begin app.Begin) (api.Operation, error) {
	return a.Operate(ctx, app.Action{Begin: begin, Cancel: true, How: app.Waiting{Quiet: true}})
}

// tellAdded prints where the forwards that were asked for are, a line each: of a
// VM that does not run nobody knows yet which port is free.
func tellAdded(ctx context.Context, a *app.App, op api.Operation, asked []api.Forward) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	vm, err := c.VMInspect(ctx, strings.TrimPrefix(op.Target, "vm/"))
	if err != nil {
		return err
	}
	slices.Reverse(vm.Forwards) // of those that are alike the newest is last
	for _, f := range asked {
		at := slices.IndexFunc(vm.Forwards, func(s api.ForwardStatus) bool {
			return !s.Auto && f == api.Forward{Address: s.Address, HostPort: s.HostPort, GuestPort: s.GuestPort}
		})
		switch {
		case at < 0: // somebody has taken it away again
			continue
		case vm.Forwards[at].Port == 0 && f.HostPort == 0:
			a.Say("a port for %d is chosen when the VM starts", f.GuestPort)
		default:
			if err := a.Line(show.HostEnd(vm.Forwards[at])); err != nil {
				return err
			}
		}
		vm.Forwards = slices.Delete(vm.Forwards, at, at+1)
	}
	return nil
}

func newForwardRemove(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "rm VM PORT…",
		Short: "Take forwards of a VM away, by their port on this host",
		Args:  app.Takes(2, -1, "the VM's name or the port"),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := removals(args[1:])
			if err != nil {
				return err
			}
			_, err = change(cmd.Context(), a, func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMForwardRemove(ctx, api.VMForwardRemoveRequest{VM: args[0], Forwards: which})
			})
			return err
		},
		ValidArgsFunction: completeFirst(a),
	}
}

func newForwardList(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [VM…]",
		Aliases: []string{"list"},
		Short:   "List the forwards of all VMs, or of some",
		Args:    app.Takes(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			vms, err := named(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			if asJSON {
				return a.JSON(forwardsOf(vms))
			}
			return show.Forwards(a.Out, vms)
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// vmForward is a forward in a list of those of several VMs.
type vmForward struct {
	VM string `json:"vm"`
	api.ForwardStatus
}

func forwardsOf(vms []api.VM) []vmForward {
	all := []vmForward{}
	for _, vm := range vms {
		for _, f := range vm.Forwards {
			all = append(all, vmForward{vm.Name, f})
		}
	}
	return all
}

// named returns the VMs of these names, all for none.
func named(ctx context.Context, c *client.Client, names []string) ([]api.VM, error) {
	if len(names) == 0 {
		return c.VMList(ctx, api.VMListRequest{All: true})
	}
	vms := make([]api.VM, 0, len(names))
	for _, name := range names {
		vm, err := c.VMInspect(ctx, name)
		if err != nil {
			return nil, err
		}
		vms = append(vms, vm)
	}
	return vms, nil
}

// completeFirst completes the first argument as a VM's name.
func completeFirst(a *app.App) cobra.CompletionFunc {
	vms := app.CompleteVMs(a)
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return vms(cmd, args, text)
	}
}

func NewPorts(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ports VM",
		Short: "List what listens in a VM, and the ports of this host that lead there",
		Args:  app.Takes(1, 1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			ports, err := c.VMPorts(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.JSON(ports)
			case ports.More:
				a.Say("banger: more listens there than is shown")
			}
			return show.Ports(a.Out, ports)
		},
		ValidArgsFunction: completeFirst(a),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// Package alter is the commands that make VMs into others: set and reset.
package alter

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// setFlags are the flags that say what is to be different.
type setFlags struct {
	req          api.VMSetRequest
	memory, disk string
	labels       []string
	autostart    bool
}

// NewSet makes the command set.
func NewSet(a *app.App) *cobra.Command {
	var f setFlags
	var how app.Waiting
	var labels app.Labels
	cmd := &cobra.Command{
		Use:   "set [flags] VM…",
		Short: "Change VMs: processors, memory, disk, network, labels, restart policy",
		Long: `Change VMs, running or not: all that is given or, where one thing is refused,
nothing. Labels, restart policy and autostart count at once, and a work disk grows
at once where VMM and guest can. What a running VM cannot be given it has from its next start on (banger restart), which is said;
inspect shows both. The work disk only grows. Forwards: banger forward.`,
		Args: labels.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := f.resolve(cmd)
			if err != nil {
				return err
			}
			act := app.Action{Cancel: true, How: how, TellOf: tellPending}
			return a.EachChosen(cmd, args, labels, act, func(ctx context.Context, c *client.Client, vm string) (api.Operation, error) {
				req := req
				req.VM = vm
				return c.VMSet(ctx, req)
			})
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	f.register(cmd)
	labels.RegisterAs(a, cmd, "selector")
	how.Register(cmd, "no progress, and nothing of what is pending")
	how.RegisterTimeout(cmd)
	return cmd
}

func (f *setFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVarP(&f.req.CPUs, "cpus", "c", 0, "`number` of virtual CPUs")
	fs.StringVarP(&f.memory, "memory", "m", "", "`size` of the memory")
	fs.StringVar(&f.disk, "disk", "", "`size` of the work disk, which only grows")
	fs.StringVar(&f.req.Network, "network", "", "network: user or none")
	fs.StringArrayVar(&f.req.AllowHosts, "allow-host", nil, "let the guest reach also `ADDRESS[/BITS][:PORT]` of this host or a private network; may be repeated")
	fs.StringArrayVar(&f.req.DisallowHosts, "disallow-host", nil, "no longer let it reach that; may be repeated")
	fs.StringArrayVar(&f.labels, "label", nil, "add a label, or give it another value, `KEY=VALUE`; may be repeated")
	fs.StringArrayVar(&f.req.Unlabel, "unlabel", nil, "take the label `KEY` away; may be repeated")
	fs.StringVar(&f.req.Restart, "restart", "", "start it again when it ends by itself: no, on-failure, on-failure:N (N times in a row at most) or always")
	fs.BoolVar(&f.autostart, "autostart", false, "start it with the host; --autostart=false: no longer")
	app.CompleteRestart(cmd)
	app.CompleteNetwork(cmd)
}

// resolve returns the request, but for the VM.
func (f *setFlags) resolve(cmd *cobra.Command) (api.VMSetRequest, error) {
	given := cmd.Flags().Changed
	something := false
	for _, flag := range []string{"cpus", "memory", "disk", "network", "allow-host", "disallow-host", "label", "unlabel", "restart", "autostart"} {
		something = something || given(flag)
	}
	req := f.req
	switch {
	case !something:
		return req, app.Usagef("say what is to be different, for instance -m 2G")
	case given("cpus") && req.CPUs < 1:
		return req, app.Usagef("a VM cannot have %d CPUs", req.CPUs)
	case given("network") && req.Network == "":
		return req, app.Usagef("the network is empty")
	case given("restart") && req.Restart == "":
		return req, app.Usagef("the restart policy is empty")
	}
	for _, s := range []struct {
		flag, text string
		to         *int64
	}{{"memory", f.memory, &req.MemoryBytes}, {"disk", f.disk, &req.DiskBytes}} {
		if !given(s.flag) {
			continue
		}
		n, err := app.Size(s.flag, s.text)
		if err != nil {
			return req, err
		}
		*s.to = n
	}
	if given("autostart") {
		req.Autostart = &f.autostart
	}
	for _, key := range req.Unlabel {
		if key == "" || strings.Contains(key, "=") {
			return req, app.Usagef("--unlabel %q: write the label's KEY alone", show.Safe(key))
		}
	}
	var err error
	req.Labels, err = app.NewLabels(f.labels)
	return req, err
}

// tellPending tells what of the change a running VM has only later.
func tellPending(a *app.App, name string, op api.Operation) {
	var result struct {
		Pending []string `json:"pending"`
	}
	if err := json.Unmarshal(op.Result, &result); err != nil || len(result.Pending) == 0 {
		return // inspect tells too
	}
	a.Say("%s runs on as it is; at its next start (banger restart %s): %s", show.Safe(name), show.Safe(name), show.Safe(strings.Join(result.Pending, ", ")))
}

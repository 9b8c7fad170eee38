package app

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/show"
)

// Labels is the flag -l, which chooses VMs by their labels.
type Labels struct {
	Want []string
	flag string // its long name
}

// Register adds the flag.
func (l *Labels) Register(a *App, cmd *cobra.Command) { l.RegisterAs(a, cmd, "label") }

// RegisterAs adds the flag under another long name, for a command to which
// --label is something else.
func (l *Labels) RegisterAs(a *App, cmd *cobra.Command, flag string) {
	l.flag = flag
	cmd.Flags().StringArrayVarP(&l.Want, flag, "l", nil, "the VMs that have this label: `KEY=VALUE`, or KEY for any value; of several all")
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return labelsInUse(a, cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag: a mistake in the program
	}
}

func labelsInUse(a *App, cmd *cobra.Command) (all []string) {
	of := Names(a, cmd, listAll, func(vm api.VM) string {
		for k, v := range vm.Spec.Labels {
			all = append(all, k+"="+v)
		}
		return ""
	})
	if len(of) == 0 {
		return nil
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func listAll(ctx context.Context, c *client.Client) ([]api.VM, error) {
	return c.VMList(ctx, api.VMListRequest{All: true})
}

// Args wants names of VMs, or labels in their place.
func (l *Labels) Args(cmd *cobra.Command, args []string) error {
	if err := l.Check(); err != nil {
		return err
	}
	switch {
	case len(l.Want) == 0:
		return Takes(1, -1, "the VM's name")(cmd, args)
	case len(args) > 0:
		return Usagef("%q and --%s: choose VMs by their names or by their labels", show.Safe(args[0]), l.flag)
	}
	return nil
}

// Check refuses what no label can be.
func (l *Labels) Check() error {
	for _, want := range l.Want {
		if key, _, _ := strings.Cut(want, "="); key == "" {
			return Usagef("--%s %q: write KEY=VALUE, or KEY for any value", l.flag, show.Safe(want))
		}
	}
	return nil
}

// Chosen are VMs, in their order.
type Chosen struct {
	Refs  []string
	named map[string]string
}

// Name is what people call the VM ref.
func (c Chosen) Name(ref string) string {
	if name, ok := c.named[ref]; ok {
		return name
	}
	return ref
}

// Choose returns the VMs that were named, or those that have the labels: by their
// IDs, as another may have the name when it is their turn. That there are none
// is told, and no error: what is to be so is so.
func (a *App) Choose(ctx context.Context, names []string, l Labels) (chosen Chosen, err error) {
	if len(l.Want) == 0 {
		return Chosen{Refs: names}, nil
	}
	c, err := a.Client()
	if err != nil {
		return chosen, err
	}
	vms, err := c.VMList(ctx, api.VMListRequest{All: true, Labels: l.Want})
	if err != nil {
		return chosen, err
	}
	if len(vms) == 0 {
		a.Say("no VM has the label %s", show.Safe(strings.Join(l.Want, " and ")))
	}
	chosen.named = make(map[string]string, len(vms))
	for _, vm := range vms {
		chosen.Refs, chosen.named[vm.ID] = append(chosen.Refs, vm.ID), vm.Name
	}
	return chosen, nil
}

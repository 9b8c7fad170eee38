// Package prune is the command prune, which removes what nobody uses.
package prune

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

// New makes the command.
func New(a *app.App) *cobra.Command {
	p := pruner{App: a}
	all := false
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the VMs that do not run, and with --all what nothing uses then",
		Long: `Remove the VMs that do not run, with all that is in them: those that are stopped,
and those that failed. It lists them with what they take, and asks; -f does not
ask. With --label only the VMs that have that label are removed: stopped VMs
that are dear are kept from it so.

--images and --kernels (--all: both) also remove the images and kernels that no
VM stands on then. What runs, what an operation has, and what is in use is
never removed.`,
		Args: app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.want.Labels = p.labels.Want
			p.want.Images, p.want.Kernels = p.want.Images || all, p.want.Kernels || all
			return p.run(cmd)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&p.force, "force", "f", false, "do not ask")
	f.BoolVar(&p.dry, "dry-run", false, "only list what would be removed")
	f.BoolVar(&p.want.Images, "images", false, "also the images that no VM stands on then")
	f.BoolVar(&p.want.Kernels, "kernels", false, "also the kernels that no VM runs on then")
	f.BoolVarP(&all, "all", "a", false, "also images and kernels")
	p.labels.Register(a, cmd)
	f.BoolVar(&p.json, "json", false, "as JSON; with --force or --dry-run")
	return cmd
}

type pruner struct {
	*app.App
	want       client.UnusedRequest
	labels     app.Labels
	force, dry bool
	json       bool
}

// pruned is what became of something.
type pruned struct {
	client.Unused
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
}

func (p *pruner) run(cmd *cobra.Command) error {
	if err := p.labels.Check(); err != nil {
		return err
	}
	if p.json && !p.force && !p.dry {
		return app.Usagef("--json asks nobody: add --force, or --dry-run")
	}
	c, err := p.Client()
	if err != nil {
		return err
	}
	unused, err := c.Unused(cmd.Context(), p.want)
	if err != nil {
		return err
	}
	if !p.json {
		if len(unused) == 0 {
			p.Say("there is nothing to remove")
			return nil
		}
		if err := listUnused(p.Out, unused); err != nil {
			return err
		}
	}
	if !p.dry {
		if err := p.ask(unused); err != nil {
			return err
		}
	}
	return p.removeAll(cmd, unused)
}

func listUnused(w io.Writer, all []client.Unused) error {
	t := show.NewTable("KIND", "NAME", "ID", "USED", "WHY")
	for _, u := range all {
		t.Row(u.Kind, u.Name, show.Short(u.ID), size.Format(u.UsedBytes), u.Why)
	}
	return t.Write(w)
}

// ask asks who sits there, unless nobody is to be asked.
func (p *pruner) ask(all []client.Unused) error {
	if p.force {
		return nil
	}
	if !term.IsTerminal(int(p.In.Fd())) || !term.IsTerminal(int(p.Err.Fd())) {
		return app.Usagef("nothing is removed, as nobody can be asked here: add --force, or --dry-run")
	}
	var sum int64
	for _, u := range all {
		sum += u.UsedBytes
	}
	fmt.Fprintf(p.Err, "Remove all of these, %s? [y/N] ", size.Format(sum))
	answer, err := bufio.NewReader(io.LimitReader(p.In, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	p.Say("nothing is removed")
	return app.CodeError(1)
}

// removeAll removes one after the other, as VMs stand on images; it goes on after
// a failure, and the first one decides the exit code.
func (p *pruner) removeAll(cmd *cobra.Command, unused []client.Unused) error {
	all, freed := make([]pruned, len(unused)), int64(0)
	var first error
	for i, u := range unused {
		all[i].Unused = u
		if p.dry {
			continue
		}
		err := p.remove(cmd.Context(), u)
		if errors.Is(err, app.ErrInterrupted) {
			return err
		}
		if err == nil {
			all[i].Removed = true
			freed += u.UsedBytes
			continue
		}
		all[i].Error = err.Error()
		if code := p.Report(cmd, err); first == nil {
			first = app.CodeError(code)
		}
	}
	switch {
	case p.json:
		return errors.Join(p.JSON(map[string]any{"items": all, "freed": freed}), first)
	case !p.dry:
		return errors.Join(p.Line("freed "+size.Format(freed)), first)
	}
	return first
}

// remove removes by the ID, as another may have the name by now.
func (p *pruner) remove(ctx context.Context, u client.Unused) error {
	act := app.Action{How: app.Waiting{Quiet: true}, Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
		switch u.Kind {
		case "image":
			return c.ImageDelete(ctx, api.ImageDeleteRequest{Image: u.ID})
		case "kernel":
			return c.KernelDelete(ctx, api.KernelDeleteRequest{Kernel: u.ID})
		}
		return c.VMDelete(ctx, api.VMDeleteRequest{VM: u.ID})
	}}
	_, err := p.Operate(ctx, act)
	return err
}

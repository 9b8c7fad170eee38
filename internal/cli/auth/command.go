package auth

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/credential"
)

// New makes the command auth.
func New(a *app.App) *cobra.Command {
	cmd := app.Group("auth", "What VMs have of yours: git's name and address, public keys, credentials")
	cmd.Long = `What VMs have of yours. A VM gets git's name and address (git config --global) and your
public keys (~/.ssh/*.pub) when it is made and at each start; files with credentials
where config.toml or --credential names them. Those are on a tmpfs of the VM, with links
to them where programs look: on no disk. What was given last is kept for starts that
nobody is there for.`
	cmd.AddCommand(newPush(a), newList(a), newRemove(a))
	return cmd
}

func newPush(a *app.App) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "push [flags] VM [FILE[:PATH]…]",
		Short: "Give a VM files with credentials; without one, all that config.toml says, and git's name and address and your keys",
		Long: `Give a VM files with credentials, at once where it runs. A file of your home goes to the
same place there, any other to PATH: ~/… or /etc/…. Without a file the VM gets all that
config.toml says, git's name and address, and your public keys, also one that was made
with --no-auth; a file alone is all that such a VM has.`,
		Args: app.Takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			auth, err := asked(cmd.Context(), a, args[1:], quiet)
			if err != nil {
				return err
			}
			return change(cmd.Context(), a, func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMAuthPush(ctx, api.VMAuthPushRequest{VM: args[0], Auth: auth})
			})
		},
		ValidArgsFunction: completeVM(a, cobra.ShellCompDirectiveDefault),
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not say what of config.toml is not given")
	return cmd
}

// asked reads what is pushed: the files alone, where there are any.
func asked(ctx context.Context, a *app.App, files []string, quiet bool) (api.Auth, error) {
	if len(files) > 0 {
		r := newReader(a, quiet)
		err := r.askedFor(files)
		return r.auth, err
	}
	g, err := gather(ctx, a, nil, quiet)
	if err != nil {
		return api.Auth{}, err
	}
	return *g.auth, nil
}

// change carries a change out.
func change(ctx context.Context, a *app.App, begin app.Begin) error {
	_, err := a.Operate(ctx, app.Action{Begin: begin, How: app.Waiting{Quiet: true}})
	return err
}

func newRemove(a *app.App) *cobra.Command {
	var git, keys bool
	cmd := &cobra.Command{
		Use:   "rm [flags] VM [PATH…]",
		Short: "Take files with credentials from a VM; without a path, all that it has of yours",
		Long: `Take files with credentials from a VM, at once where it runs, by their path there (banger
auth ls), or with --git and --keys git's name and address and your public keys. They stay
away until they are pushed again. Without a path and a flag the VM loses all that it has
of yours, and gets nothing at its starts until banger auth push without a file.`,
		Args: app.Takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := api.VMAuthRemoveRequest{VM: args[0], Git: git, SSHKeys: keys}
			for _, text := range args[1:] {
				path, err := credential.CleanPath(text)
				if err != nil {
					return app.Usagef("%q is no path of a credential: %w", show.Safe(text), err)
				}
				req.Paths = append(req.Paths, path)
			}
			return change(cmd.Context(), a, func(ctx context.Context, c *client.Client) (api.Operation, error) {
				return c.VMAuthRemove(ctx, req)
			})
		},
		ValidArgsFunction: completeVM(a, cobra.ShellCompDirectiveNoFileComp),
	}
	cmd.Flags().BoolVar(&git, "git", false, "take git's name and address away")
	cmd.Flags().BoolVar(&keys, "keys", false, "take your public keys away")
	return cmd
}

func newList(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [VM…]",
		Aliases: []string{"list"},
		Short:   "List what VMs have of yours, without any content",
		Args:    app.Takes(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := list(cmd.Context(), a, args)
			if err != nil {
				return err
			}
			if asJSON {
				return a.JSON(all)
			}
			return show.Auth(a.Out, all)
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// list asks for what VMs of these names have, all for none.
func list(ctx context.Context, a *app.App, names []string) ([]show.VMAuth, error) {
	c, err := a.Client()
	if err != nil {
		return nil, err
	}
	every := len(names) == 0
	if every {
		vms, err := c.VMList(ctx, api.VMListRequest{All: true})
		if err != nil {
			return nil, err
		}
		for _, vm := range vms {
			names = append(names, vm.Name)
		}
	}
	all := []show.VMAuth{}
	for _, name := range names {
		has, err := c.VMAuthShow(ctx, name)
		if every && api.KindOf(err) == api.KindNotFound { // it is gone since
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, show.VMAuth{VM: name, VMAuth: has})
	}
	return all, nil
}

// completeVM completes the first argument as a VM's name.
func completeVM(a *app.App, rest cobra.ShellCompDirective) cobra.CompletionFunc {
	vms := app.CompleteVMs(a)
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, rest
		}
		return vms(cmd, args, text)
	}
}

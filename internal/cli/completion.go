package cli

import (
	_ "embed"
	"io"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/app"
)

// bashWords takes the place of what cobra's script needs of the package
// bash-completion, which not every host has.
//
//go:embed completion.bash
var bashWords string

func newCompletion(a *app.App) *cobra.Command {
	cmd := app.Group("completion", "Print what completes commands, flags and names in a shell")
	cmd.Long = `Print what completes commands, flags and the names of VMs, images, kernels and
VMMs in a shell. make install has put it where shells look for it; otherwise:

    bash   source <(banger completion bash)                in ~/.bashrc
    zsh    source <(banger completion zsh)                 in ~/.zshrc, after compinit
    fish   banger completion fish | source                 in ~/.config/fish/config.fish`
	for name, write := range map[string]func(root *cobra.Command, w io.Writer) error{
		"bash": func(root *cobra.Command, w io.Writer) error {
			if err := root.GenBashCompletionV2(w, true); err != nil {
				return err
			}
			_, err := io.WriteString(w, bashWords)
			return err
		},
		"zsh":  (*cobra.Command).GenZshCompletion,
		"fish": func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		cmd.AddCommand(&cobra.Command{
			Use:               name,
			Short:             "Print what completes in " + name,
			Args:              app.Takes(0, 0, ""),
			RunE:              func(cmd *cobra.Command, _ []string) error { return write(cmd.Root(), a.Out) },
			ValidArgsFunction: cobra.NoFileCompletions,
		})
	}
	return cmd
}

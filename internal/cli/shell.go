package cli

import (
	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/session"
)

func newShell(a *app.App) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "shell [flags] VM",
		Short: "Open a login shell in a running VM",
		Long: `Open a login shell in a running VM: with a terminal where there is one here,
else it reads a script from standard input. The exit code is the shell's.`,
		Args: app.Takes(1, 1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.spec(a, nil)
			if err != nil {
				return err
			}
			code, _, err := session.Run(cmd.Context(), a, args[0], spec, f.options())
			if err != nil {
				return err
			}
			return app.CodeError(code)
		},
		Annotations:       map[string]string{app.GuestCode: "yes"},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.user, "user", "u", "", "user name or ID (default the image's login user)")
	fs.StringVarP(&f.cwd, "workdir", "w", "", "working directory (default the user's home)")
	fs.StringArrayVarP(&f.env, "env", "e", nil, "set `KEY=VALUE`, or hand KEY on; may be repeated")
	return cmd
}

package cli

import (
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/session"
)

// execFlags are the flags that say how a command runs in a guest.
type execFlags struct {
	interactive, tty, detach bool
	env                      []string
	cwd, user                string
	timeout                  app.Seconds
}

func (f *execFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.SetInterspersed(false) // what follows the VM or image is the command's
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "forward the terminal's input (a pipe or file always is)")
	fs.BoolVarP(&f.tty, "tty", "t", false, "give the command a terminal")
	fs.BoolVarP(&f.detach, "detach", "d", false, "leave the command running and return")
	fs.StringArrayVarP(&f.env, "env", "e", nil, "set `KEY=VALUE`, or hand KEY on; may be repeated")
	fs.StringVarP(&f.cwd, "workdir", "w", "", "working directory (default the user's home)")
	fs.StringVarP(&f.user, "user", "u", "", "user name or ID (default the image's login user)")
	fs.Var(&f.timeout, "timeout", "end the command after this time and return 124: 30s, 5m")
}

// spec makes the command's description and checks that it can be had here.
func (f *execFlags) spec(a *app.App, argv []string) (api.ExecSpec, error) {
	env, err := environment(f.env)
	if err != nil {
		return api.ExecSpec{}, err
	}
	terminal := term.IsTerminal(int(a.In.Fd())) && term.IsTerminal(int(a.Out.Fd()))
	switch {
	case f.detach && f.tty:
		return api.ExecSpec{}, app.Usagef("a detached command has no terminal: -d and -t exclude each other")
	case f.detach && f.timeout > 0:
		return api.ExecSpec{}, app.Usagef("nobody waits for a detached command: -d and --timeout exclude each other")
	case f.tty && !terminal:
		return api.ExecSpec{}, app.Usagef("-t needs a terminal on standard input and output; leave it out in scripts")
	case len(argv) == 0 && terminal && !f.detach:
		f.tty = true // a shell
	}
	if f.tty {
		f.interactive = true
	}
	return api.ExecSpec{Argv: argv, Env: env, Cwd: f.cwd, User: f.user, TTY: f.tty, Detached: f.detach}, nil
}

// given returns a flag that was given and means nothing without a command.
func (f *execFlags) given(cmd *cobra.Command) string {
	for _, name := range []string{"interactive", "tty", "env", "workdir", "user", "timeout"} {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

func (f *execFlags) options() session.Options {
	return session.Options{Interactive: f.interactive, Timeout: time.Duration(f.timeout)}
}

func newExec(a *app.App) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] VM [--] [COMMAND…]",
		Short: "Run a command in a running VM; without one, a login shell",
		Args:  app.Takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.spec(a, app.Command(args[1:]))
			if err != nil {
				return err
			}
			code, id, err := session.Run(cmd.Context(), a, args[0], spec, f.options())
			switch {
			case err != nil:
				return err
			case f.detach && code == app.ExitOK:
				return a.Line(id)
			}
			return app.CodeError(code)
		},
		Annotations:       map[string]string{app.GuestCode: "yes"},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	f.register(cmd)
	return cmd
}

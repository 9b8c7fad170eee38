package reach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// sshFlags are ssh's own, which it is given as they are.
type sshFlags struct {
	local, remote, dynamic, options []string
	agent, noCommand, tty, noTTY    bool
	verbose                         int
	user                            string
}

func (f *sshFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.SetInterspersed(false) // what follows the VM is the command's
	fs.StringVarP(&f.user, "user", "u", "", "log in as this user (default the image's login user)")
	fs.StringArrayVarP(&f.local, "local", "L", nil, "forward a port here to the VM, `[ADDR:]PORT:HOST:PORT`")
	fs.StringArrayVarP(&f.remote, "remote", "R", nil, "forward a port of the VM to here, `[ADDR:]PORT:HOST:PORT`")
	fs.StringArrayVarP(&f.dynamic, "dynamic", "D", nil, "be a SOCKS proxy into the VM at `[ADDR:]PORT`")
	fs.StringArrayVarP(&f.options, "option", "o", nil, "set an option of ssh_config, `NAME=VALUE`")
	fs.BoolVarP(&f.agent, "forward-agent", "A", false, "let the VM use your SSH agent")
	fs.BoolVarP(&f.noCommand, "no-command", "N", false, "run no command: only forward")
	fs.BoolVarP(&f.tty, "tty", "t", false, "give the command a terminal")
	fs.BoolVarP(&f.noTTY, "no-tty", "T", false, "give it none")
	fs.CountVarP(&f.verbose, "verbose", "v", "let ssh tell what it does; -vv, -vvv more")
}

// args are the flags as ssh has them.
func (f *sshFlags) args() []string {
	var args []string
	for _, each := range []struct {
		flag   string
		values []string
	}{{"-L", f.local}, {"-R", f.remote}, {"-D", f.dynamic}, {"-o", f.options}} {
		for _, value := range each.values {
			args = append(args, each.flag, value)
		}
	}
	for _, each := range []struct {
		flag string
		set  bool
	}{{"-A", f.agent}, {"-N", f.noCommand}, {"-t", f.tty}, {"-T", f.noTTY}} {
		if each.set {
			args = append(args, each.flag)
		}
	}
	if f.verbose > 0 {
		args = append(args, "-"+strings.Repeat("v", f.verbose))
	}
	if f.user != "" {
		args = append(args, "-l", f.user)
	}
	return args
}

func NewSSH(a *app.App) *cobra.Command {
	var f sshFlags
	cmd := &cobra.Command{
		Use:   "ssh [flags] VM [--] [COMMAND…]",
		Short: "Log in to a running VM with OpenSSH; it needs no network",
		Args:  app.Takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if _, err := c.VMConnect(cmd.Context(), args[0]); err != nil { // a better word than ssh's
				return err
			}
			at, err := c.VMSSH(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			argv := slices.Concat([]string{"ssh", "-F", at.Config}, f.args(), []string{"--", at.Host}, app.Command(args[1:]))
			return become(argv)
		},
		Annotations:       map[string]string{app.GuestCode: "yes"},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	f.register(cmd)
	return cmd
}

// become makes this process another program, whose terminal, signals and exit
// code are then ours.
func become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return api.NewError(api.KindFailedPrecondition, "there is no "+argv[0]+" here", "Install it: sudo apt-get install openssh-client")
	}
	return fmt.Errorf("running %s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

func NewSSHConfig(a *app.App) *cobra.Command {
	var install, uninstall, asJSON bool
	cmd := &cobra.Command{
		Use:   "ssh-config",
		Short: "Print the ssh_config by which ssh, scp, rsync and git reach VMs as NAME.vm",
		Long: `Print the ssh_config by which ssh, scp, sftp, rsync and git reach VMs as NAME.vm.
--install has your ~/.ssh/config include it, so that "ssh dev.vm" works.`,
		Args: app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case install && uninstall:
				return app.Usagef("--install and --uninstall exclude each other")
			case asJSON && (install || uninstall):
				return app.Usagef("--json only shows: --install and --uninstall do not go with it")
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			at, err := c.VMSSH(cmd.Context(), "")
			if err != nil {
				return err
			}
			switch {
			case install || uninstall:
				return include(a, at, install)
			case asJSON:
				return a.JSON(at)
			}
			config, err := os.ReadFile(at.Config)
			if err != nil {
				return err
			}
			_, err = a.Out.Write(config)
			return err
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "include it in ~/.ssh/config")
	cmd.Flags().BoolVar(&uninstall, "uninstall", false, "include it no more")
	cmd.Flags().BoolVar(&asJSON, "json", false, "where it is, as JSON")
	return cmd
}

// include has the user's configuration include ours, or not. The line is the
// first one: after a Host it would be that host's alone.
func include(a *app.App, at api.VMSSH, wanted bool) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	path := filepath.Join(home, ".ssh", "config")
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to // somebody's dotfiles
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := `Include "` + at.Config + "\"\n"
	text := strings.TrimPrefix(strings.ReplaceAll("\n"+string(old), "\n"+line, "\n"), "\n")
	if wanted {
		text = line + text
	}
	switch {
	case text != string(old):
	case wanted:
		a.Say("%s includes it already.", path)
		return nil
	default:
		a.Say("%s does not include it.", path)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".config-banger-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	mode := fs.FileMode(0o600)
	if info, statErr := os.Stat(path); statErr == nil {
		mode = info.Mode().Perm()
	}
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	if wanted {
		a.Say("%s includes it now: ssh NAME.%s", path, show.Safe(at.Zone))
	} else {
		a.Say("%s includes it no more.", path)
	}
	return nil
}

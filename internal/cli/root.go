package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/banger-vm/banger/internal/cli/alter"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/auth"
	"github.com/banger-vm/banger/internal/cli/checkup"
	"github.com/banger-vm/banger/internal/cli/daemons"
	"github.com/banger-vm/banger/internal/cli/files"
	"github.com/banger-vm/banger/internal/cli/kernels"
	"github.com/banger-vm/banger/internal/cli/prune"
	"github.com/banger-vm/banger/internal/cli/reach"
	"github.com/banger-vm/banger/internal/cli/serial"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/cli/vitals"
	"github.com/banger-vm/banger/internal/version"
)

const (
	groupEvery = "every"
	groupNouns = "nouns"
)

// newRoot builds the commands: nouns with verbs, and the short forms that
// fingers know.
func newRoot(a *app.App) *cobra.Command {
	root := app.Group("banger", "Real Linux virtual machines that feel like processes")
	root.Version = version.Version
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetVersionTemplate("banger {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp(root))
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&a.Flags.StateDir, "state-dir", "", "where VMs and images are kept (BANGER_STATE_DIR)")
	f.StringVar(&a.Flags.RuntimeDir, "runtime-dir", "", "where the daemon's socket lies (BANGER_RUNTIME_DIR)")
	f.StringVar(&a.Flags.Socket, "socket", "", "the daemon's socket (BANGER_SOCKET)")

	root.AddGroup(&cobra.Group{ID: groupEvery, Title: "Every day:"}, &cobra.Group{ID: groupNouns, Title: "All of it:"})
	for _, cmd := range everyday(a) {
		cmd.GroupID = groupEvery
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{
		newVM(a), newImage(a), kernels.New(a), newVMM(a), newOp(a),
		vitals.NewPing(a), vitals.NewHealth(a), vitals.NewStats(a), prune.New(a),
		reach.NewForward(a), reach.NewPorts(a), reach.NewSSHConfig(a), reach.NewDial(a), serial.NewConsole(a), auth.New(a),
		newEvents(a), checkup.New(a), daemons.New(a), daemons.NewInfo(a), newRPC(a), newCompletion(a), daemons.NewVersion(a),
	} {
		cmd.GroupID = groupNouns
		root.AddCommand(cmd)
	}
	root.AddCommand(newManual())
	return root
}

// everyday are the commands on VMs that fingers know.
func everyday(a *app.App) []*cobra.Command {
	return []*cobra.Command{
		newRun(a), newExec(a), newShell(a),
		reach.NewSSH(a), files.NewCopy(a), serial.NewLogs(a),
		newList(a), newPS(a), newCreate(a), newStart(a), newStop(a), newRestart(a), newPause(a), newResume(a), newRename(a), alter.NewSet(a), alter.NewReset(a), newKill(a), newDelete(a), newInspect(a),
	}
}

func newVM(a *app.App) *cobra.Command {
	vm := app.Group("vm", "Make and use virtual machines")
	vm.AddCommand(everyday(a)...)
	vm.AddCommand(vitals.NewPing(a), vitals.NewHealth(a), vitals.NewStats(a), prune.New(a))
	vm.AddCommand(reach.NewForward(a), reach.NewPorts(a), reach.NewDial(a), serial.NewConsole(a), auth.New(a))
	return vm
}

// newHelp is cobra's help command, but for a command that is not there.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show how a command is used",
		GroupID: groupNouns,
		RunE: func(_ *cobra.Command, args []string) error {
			of, rest, err := root.Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return app.Unknown(of, rest[0])
			}
			return of.Help()
		},
	}
}

// flagError names the flag that was meant, perhaps.
func flagError(cmd *cobra.Command, err error) error {
	msg := show.Safe(err.Error())
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		msg = fmt.Sprintf("the flag --%s is not known", show.Safe(name))
		if near := nearFlags(cmd, name); len(near) > 0 {
			msg += "; did you mean " + strings.Join(near, " or ") + "?"
		}
	}
	return app.Usagef("%s", msg)
}

func nearFlags(cmd *cobra.Command, name string) []string {
	var near []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && (distance(name, f.Name) <= 2 || (len(name) > 1 && strings.HasPrefix(f.Name, name))) {
			near = append(near, "--"+f.Name)
		}
	})
	sort.Strings(near)
	return near
}

// distance is the number of edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Package checkup has the command doctor: it shows what bangerd finds out about
// this host, whether a daemon runs or not, and runs the commands that mend it.
package checkup

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/places"
)

// New makes the command doctor.
func New(a *app.App) *cobra.Command {
	var asJSON, fix, residue, all bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Aliases: []string{"diagnose"},
		Short:   "Look for what is missing or broken on this host, and say what mends it",
		Long: `Look for what is missing or broken on this host, and say what mends it. No daemon
is needed, and looking starts none. --fix runs the commands that need no root and
touch nothing but banger's own. --residue shows what belongs to no VM any more instead.`,
		Args: app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDoctor(a)
			switch {
			case err != nil:
				return err
			case residue && (fix || all):
				return app.Usagef("--residue goes with neither --fix nor --all")
			case residue:
				return d.residue(cmd.Context(), asJSON)
			}
			return d.report(cmd.Context(), asJSON, fix, all)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVarP(&all, "all", "a", false, "show also what is well")
	f.BoolVar(&fix, "fix", false, "run the safe ones of the commands that mend")
	f.BoolVar(&residue, "residue", false, "show what belongs to no VM any more; the exit code is 1 if there is anything")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// doctor is bangerd as this command uses it.
type doctor struct {
	*app.App
	places  places.Places
	bangerd bangerd
}

func newDoctor(a *app.App) (*doctor, error) {
	p, err := a.Places()
	if err != nil {
		return nil, err
	}
	b, err := newBangerd(p)
	return &doctor{App: a, places: p, bangerd: b}, err
}

// report shows the checks, after mending what can be where that is wanted.
func (d *doctor) report(ctx context.Context, asJSON, fix, all bool) error {
	var r api.DoctorReport
	if err := d.bangerd.ask(ctx, &r); err != nil {
		return err
	}
	if fix && d.mend(ctx, r) {
		r = api.DoctorReport{}
		if err := d.bangerd.ask(ctx, &r); err != nil {
			return err
		}
	}
	var err error
	if asJSON {
		err = d.JSON(r)
	} else {
		err = show.Checks(d.Out, r.Checks, show.Looks{Terminal: term.IsTerminal(int(d.Out.Fd())), All: all})
	}
	if err != nil {
		return err
	}
	for _, c := range r.Checks {
		if c.State == api.DoctorFail {
			return app.CodeError(1)
		}
	}
	return nil
}

// mend runs the safe commands, and reports whether there were any.
func (d *doctor) mend(ctx context.Context, r api.DoctorReport) (tried bool) {
	for _, c := range r.Checks {
		if !c.Safe || c.Command == "" || c.State == api.DoctorOK {
			continue
		}
		tried = true
		d.Say("%s: %s", c.Name, show.Safe(c.Command))
		if err := d.run(ctx, c.Command); err != nil { // the next look shows it, too
			d.Say("%s: it did not work: %v", c.Name, err)
		}
	}
	if !tried {
		d.Say("There is nothing that --fix could do.")
	}
	return tried
}

// run runs a line of bangerd's own for sh, in which banger is this program, for
// the same places.
func (d *doctor) run(ctx context.Context, line string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stdout, cmd.Stderr = d.Err, d.Err
	cmd.Env = append(environment(d.places), "PATH="+filepath.Dir(self)+":"+os.Getenv("PATH"))
	return cmd.Run()
}

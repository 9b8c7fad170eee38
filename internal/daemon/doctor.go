package daemon

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/doctor/host"
	"github.com/banger-vm/banger/internal/doctor/own"
	checkvmms "github.com/banger-vm/banger/internal/doctor/vmms"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/service"
)

// mainDoctor looks at the host and at banger's own things, whether a daemon runs
// or not, and prints what it found as JSON: banger shows it to people.
func mainDoctor(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bangerd doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var f places.Flags
	flags.StringVar(&f.StateDir, "state-dir", "", "where VMs and images are kept")
	flags.StringVar(&f.RuntimeDir, "runtime-dir", "", "where the daemon's socket lies")
	flags.StringVar(&f.Socket, "socket", "", "the daemon's socket")
	cli := flags.String("cli-version", "", "the version of the banger that asks")
	leftOver := flags.Bool("residue", false, "look for what belongs to no VM any more instead")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := places.Resolve(f, places.SystemEnv())
	if err != nil {
		return err
	}
	x := examine(p)
	x.cli = *cli
	if *leftOver {
		strays, err := x.strays(ctx)
		if err != nil {
			return err
		}
		return encode(stdout, service.Residue(strays))
	}
	return encode(stdout, service.DoctorReport(doctor.Run(ctx, x.checks())))
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// examiner is a daemon that does not run, for its parts' sake.
type examiner struct {
	*Daemon
	cli      string
	settings error // of reading them; those of the daemon are the defaults then
}

func examine(p places.Places) *examiner {
	x := &examiner{Daemon: &Daemon{places: p, log: slog.New(slog.DiscardHandler)}}
	s, err := ReadSettings(p.ConfigFile)
	if err != nil {
		x.settings = err
		return x
	}
	x.Daemon.settings = s
	if _, x.settings = x.newVMMs(newNetworks()); x.settings != nil {
		x.Daemon.settings = Settings{}
	}
	return x
}

func (x *examiner) checks() []doctor.Check {
	checks := host.Checks(x.hostFacts())
	checks = append(checks, x.vmmChecks()...)
	return append(checks, own.Checks(x.ownFacts())...)
}

func (x *examiner) vmmChecks() []doctor.Check {
	v, err := x.newVMMs(newNetworks())
	if err != nil { // the check of the configuration says why
		return nil
	}
	return checkvmms.Checks(checkvmms.Facts{Names: driverNames(), Look: v.lookOnly, Verdict: x.verdict})
}

// preflight runs the checks that creates and starts depend on.
func (d *Daemon) preflight() func(ctx context.Context) error {
	x := &examiner{Daemon: d}
	checks := append(host.Checks(x.hostFacts()), own.Checks(x.ownFacts())...)
	return func(ctx context.Context) error { return doctor.Preflight(ctx, checks) }
}

// agentBeside wants the guest's program where this one is.
func agentBeside() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding bangerd's own program: %w", err)
	}
	_, err = companion(self, "banger-guest")
	return err
}

func databaseFile(p places.Places) string { return filepath.Join(p.StateDir, "banger.db") }

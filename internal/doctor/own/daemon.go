package own

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/banger-vm/banger/internal/doctor"
)

func (f Facts) config(context.Context) doctor.Finding {
	if err := f.Settings(); err != nil {
		return doctor.Bad(doctor.Fail, f.edit(), "%v", err)
	}
	return doctor.Good("%s is understood, or not there", f.Places.ConfigFile)
}

// edit is to change the configuration.
func (f Facts) edit() doctor.Fix {
	return doctor.Fix{Command: "${EDITOR:-vi} " + doctor.Quote(f.Places.ConfigFile), Hint: "Then: banger daemon stop. The keys are in docs/files.md."}
}

func (f Facts) database(ctx context.Context) doctor.Finding {
	path := filepath.Join(f.Places.StateDir, "banger.db")
	db, err := f.Database(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doctor.Good("the database is made when it is needed")
	case err != nil && f.Damaged(err):
		found := doctor.Broken(doctor.Fail, err)
		// With its log, which a new one must not be given, and which may save the old one.
		found.Fix.Command = fmt.Sprintf("for of in '' -wal -shm; do [ ! -e %[1]s$of ] || mv %[1]s$of %[2]s$of; done", doctor.Quote(path), doctor.Quote(path+".damaged"))
		return found
	case errors.Is(err, fs.ErrPermission):
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "chmod u+rw " + doctor.Quote(path), Safe: true}, "%v", err)
	case err != nil:
		return doctor.Broken(doctor.Fail, err)
	case db.Version > db.Newest:
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "export BANGER_STATE_DIR=" + doctor.Quote(f.Places.StateDir+"-2"), Hint: "Or install the newer banger again."},
			"the database is of version %d, from a newer banger; this one knows versions up to %d", db.Version, db.Newest)
	case db.Version < db.Newest:
		return doctor.Good("the database is whole; the next daemon brings it from version %d to %d", db.Version, db.Newest)
	}
	return doctor.Good("the database is whole, of version %d", db.Version)
}

func (f Facts) daemon(ctx context.Context) doctor.Finding {
	d := f.Daemon(ctx)
	kill := doctor.Fix{Command: fmt.Sprintf("kill -9 %d", d.PID), Hint: "VMs run on. The log may say why: banger daemon logs."}
	switch {
	case d.Err != nil && d.PID > 0:
		return doctor.Bad(doctor.Fail, kill, "the daemon (process %d) does not answer: %v", d.PID, d.Err)
	case d.Err != nil:
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "rm -f " + doctor.Quote(f.Places.Socket)}, "the daemon's socket does not work: %v", d.Err)
	case d.Version == "" && d.PID > 0:
		return doctor.Bad(doctor.Fail, kill, "process %d has the state directory, but does not listen on %s", d.PID, f.Places.Socket)
	case d.Version == "":
		return doctor.Good("no daemon runs; the next command that needs one starts it")
	}
	return doctor.Good("the daemon (process %d) answers", d.PID)
}

func (f Facts) daemonVersion(ctx context.Context) doctor.Finding {
	d := f.Daemon(ctx)
	switch {
	case d.Version == "":
		return doctor.Skipped("no daemon answers")
	case d.Version != f.Version:
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger daemon stop", Safe: true, Hint: "VMs run on, and the next command starts the new daemon."},
			"the daemon that runs is of version %s, the one that is installed %s", d.Version, f.Version)
	}
	return doctor.Good("the daemon is of version %s, as it is installed", d.Version)
}

func (f Facts) programsVersion(context.Context) doctor.Finding {
	switch f.CLI {
	case "":
		return doctor.Skipped("nobody said which banger asks")
	case f.Version:
		return doctor.Good("banger and bangerd are of version %s", f.Version)
	}
	return doctor.Bad(doctor.Warn, doctor.Fix{Command: "make install", Hint: "Put both programs of one build there."},
		"banger is of version %s, bangerd of %s", f.CLI, f.Version)
}

func (f Facts) agent(context.Context) doctor.Finding {
	if err := f.Agent(); err != nil {
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "make install", Hint: "Or put banger-guest beside bangerd."}, "%v", err)
	}
	return doctor.Good("banger-guest is there")
}

func (f Facts) residue(ctx context.Context) doctor.Finding {
	n, err := f.Strays(ctx)
	switch {
	case err != nil:
		return doctor.Skipped("what is left over cannot be told: %v", err)
	case n > 0:
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger doctor --residue", Hint: "It names each, and the command that removes it."},
			"%d things on this host belong to no VM any more", n)
	}
	return doctor.Good("nothing is left over on this host")
}

package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// Find opens the VMM that lives in dir, and returns a driver's record of it:
// the process on record, whose identity idOf tells, or, if the starter was
// killed before it could write that, the one that holds the lock. Its record is
// made by reconstruct, from the process, and written. The error is
// vmm.ErrNotRunning where there is none, or where it ends meanwhile.
func Find[R any](dir string, idOf func(R) hostexec.ID, reconstruct func(hostexec.ID) (R, error)) (R, *hostexec.Process, error) {
	var rec, none R
	err := ReadRecord(dir, &rec)
	if err == nil {
		proc, err := hostexec.Open(idOf(rec))
		if err == nil || !errors.Is(err, os.ErrProcessDone) {
			return rec, proc, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return none, nil, err
	}
	holder, err := FindHolder(dir)
	if err != nil {
		return none, nil, err
	}
	proc, err := hostexec.Open(holder)
	if errors.Is(err, os.ErrProcessDone) {
		err = notRunning(dir)
	}
	if err != nil {
		return none, nil, err
	}
	if rec, err = reconstruct(holder); err == nil {
		err = WriteRecord(dir, rec)
	}
	if err == nil {
		return rec, proc, nil
	}
	if !proc.Alive() { // what was read of it, or not, is no reason
		err = notRunning(dir)
	}
	return none, nil, errors.Join(err, proc.Close())
}

func notRunning(dir string) error { return fmt.Errorf("%s: %w", dir, vmm.ErrNotRunning) }

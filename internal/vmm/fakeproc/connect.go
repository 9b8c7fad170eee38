package fakeproc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Connect takes the VMM over that runs in spec.Dir. One that was spawned but
// not yet set going, because its starter was killed, is set going.
func (d *Driver) Connect(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	held, err := rundir.Locked(spec.Dir)
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	rec, proc, err := d.find(spec.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bringUp)
	defer cancel()
	m := newMachine(d.log, spec, rec, proc)
	if err := m.attach(ctx); err != nil {
		select {
		case <-proc.Done():
			err = vmm.ErrNotRunning
		case <-time.After(endingLag):
		}
		return nil, errors.Join(fmt.Errorf("connecting to the fake VMM of %s: %w", spec.Name, err), m.Close())
	}
	return m, nil
}

// find opens the process that lives in dir: the one on record, or, if the
// starter was killed before it could write that, the one that holds the lock.
func (d *Driver) find(dir string) (record, *hostexec.Process, error) {
	var rec record
	err := rundir.ReadRecord(dir, &rec)
	if err == nil {
		proc, err := hostexec.Open(rec.Process)
		if err == nil || !errors.Is(err, os.ErrProcessDone) {
			return rec, proc, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return rec, nil, err
	}
	if rec.Process, err = rundir.FindHolder(dir); err != nil {
		return record{}, nil, err
	}
	proc, err := hostexec.Open(rec.Process)
	if errors.Is(err, os.ErrProcessDone) {
		err = fmt.Errorf("%s: %w", dir, vmm.ErrNotRunning)
	}
	if err != nil {
		return record{}, nil, err
	}
	if err = d.isOurs(rec.Process); err == nil {
		rec.Started, err = rundir.StartedAt(rec.Process)
	}
	if err == nil {
		err = rundir.WriteRecord(dir, rec)
	}
	if err != nil {
		return record{}, nil, errors.Join(err, proc.Close())
	}
	return rec, proc, nil
}

// execLimit bounds the time from a fork to when the new program's arguments can
// be read.
const execLimit = time.Second

// isOurs wants a process to be a fake VMM, and no starter of one.
func (d *Driver) isOurs(id hostexec.ID) error {
	path, err := d.binary()
	if err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < execLimit; time.Sleep(time.Millisecond) {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
		if err != nil {
			return fmt.Errorf("looking at process %d: %w", id.PID, err)
		}
		if strings.HasPrefix(string(cmdline), path+"\x00") {
			return nil
		}
	}
	return fmt.Errorf("process %d, which holds the lock of a VMM, is no fake VMM of ours", id.PID)
}

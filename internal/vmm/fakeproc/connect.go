package fakeproc

import (
	"context"
	"errors"
	"fmt"
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
	rec, proc, err := rundir.Find(spec.Dir, func(r record) hostexec.ID { return r.Process }, d.reconstruct)
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

// execLimit bounds the time from a fork to when the new program's arguments can
// be read.
const execLimit = time.Second

// reconstruct makes the record that was never written, from the process.
func (d *Driver) reconstruct(id hostexec.ID) (rec record, err error) {
	if err := d.isOurs(id); err != nil {
		return rec, err
	}
	rec.Process = id
	rec.Started, err = rundir.StartedAt(id)
	return rec, err
}

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

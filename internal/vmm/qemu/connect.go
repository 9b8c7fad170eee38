package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Connect takes the QEMU over that runs in spec.Dir. One that was started but
// not yet set going, because its starter was killed, is set going.
func (d *Driver) Connect(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	held, err := rundir.Locked(spec.Dir)
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	rec, proc, err := rundir.Find(spec.Dir, func(r record) hostexec.ID { return r.Process }, reconstruct)
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
		return nil, errors.Join(fmt.Errorf("connecting to QEMU of %s: %w", spec.Name, err), m.Close())
	}
	return m, nil
}

// execLimit bounds the time from a fork to when the new program's arguments can
// be read.
const execLimit = time.Second

// reconstruct makes the record that was never written, from the process.
func reconstruct(id hostexec.ID) (record, error) {
	rec := record{Process: id}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
		if err != nil {
			return rec, fmt.Errorf("looking at process %d: %w", id.PID, err)
		}
		args := strings.Split(string(cmdline), "\x00")
		if i := slices.Index(args, "-accel"); i >= 0 && i+1 < len(args) {
			accel, turns := strings.CutSuffix(args[i+1], takeTurns)
			rec.Accel, rec.Turns = vmm.Accel(accel), turns
			break
		}
		if time.Since(began) > execLimit {
			return rec, fmt.Errorf("process %d, which holds the lock of a VMM, is no QEMU of ours", id.PID)
		}
	}
	var err error
	rec.Started, err = rundir.StartedAt(id)
	return rec, err
}

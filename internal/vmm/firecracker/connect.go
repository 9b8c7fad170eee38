package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Connect takes the Firecracker over that runs in spec.Dir. One that was
// started but not yet set going, because its starter was killed, is set going.
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
	m := d.newMachine(spec, rec, proc)
	if err := m.attach(ctx, nil); err != nil {
		select {
		case <-proc.Done():
			err = vmm.ErrNotRunning
		case <-time.After(endingLag):
		}
		return nil, errors.Join(fmt.Errorf("connecting to Firecracker of %s: %w", spec.Name, err), m.Close())
	}
	if rec.Said {
		m.suspectHalt()
	}
	return m, nil
}

// reconstruct makes the record that was never written, from the process.
func reconstruct(id hostexec.ID) (record, error) {
	rec := record{Process: id, Isolation: vmm.IsolationSandbox}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return rec, fmt.Errorf("looking at our own namespaces: %w", err)
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", id.PID))
	if err != nil {
		return rec, fmt.Errorf("looking at process %d: %w", id.PID, err)
	}
	if ours != theirs {
		rec.Isolation = vmm.IsolationNamespaces
	}
	rec.Started, err = rundir.StartedAt(id)
	return rec, err
}

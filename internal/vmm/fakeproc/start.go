package fakeproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

const (
	fileControl = "control.sock"
	fileConsole = "console.sock"
	fileAgent   = "agent.sock"
)

// sockets are those that the VMM inherits, from FDControl on.
var sockets = []string{fileControl, fileConsole, fileAgent}

// bringUp bounds the way from exec to a running guest; only a hung VMM needs it.
const bringUp = 30 * time.Second

// record is vmm.json.
type record struct {
	Process hostexec.ID `json:"process"`
	Started time.Time   `json:"started"`
}

// Start runs spec.
func (d *Driver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := d.Prepare(ctx, spec); err != nil {
		return nil, err
	}
	m, err := d.launch(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("starting the VMM of %s: %w", spec.Name, err)
	}
	return m, nil
}

// launch spawns the VMM and brings it up, or leaves nothing of it. We hold the
// lock too until then, so that cleaning up meets nobody else's Start.
func (d *Driver) launch(ctx context.Context, spec vmm.Spec) (_ *machine, err error) {
	files, err := openFiles(spec)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rundir.Remove(files.dir, append(sockets, rundir.RecordFile)...))
		}
		files.close()
	}()
	rec, proc, err := d.spawn(ctx, spec, files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bringUp)
	defer cancel()
	m := newMachine(d.log, spec, rec, proc)
	// It waits for us before it makes anything of the guest's.
	d.cfg.Settle.Do(ctx, d.log, rec.Process.PID)
	if err := m.attach(ctx); err != nil {
		return nil, errors.Join(m.explain(ctx, err), discard(m))
	}
	return m, nil
}

// discard ends what a failed Start began, whatever became of its context.
func discard(m *machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), bringUp)
	defer cancel()
	return errors.Join(m.Kill(ctx), m.Close())
}

// spawn starts the VMM, whose guest waits, and records it.
func (d *Driver) spawn(ctx context.Context, spec vmm.Spec, files *inherited) (record, *hostexec.Process, error) {
	rec := record{Started: time.Now()}
	path, err := d.binary()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return rec, nil, err
	}
	proc, err := hostexec.Spawn(hostexec.Daemon{
		Name: path, Args: []string{"--name", spec.Name, "--dir", spec.Dir}, Dir: spec.Dir,
		Stdout: files.log, Stderr: files.log, ExtraFiles: append([]*os.File{files.lock}, files.sockets...),
	})
	if err != nil {
		return rec, nil, err
	}
	files.handOver()
	rec.Process = proc.ID()
	if err := rundir.WriteRecord(spec.Dir, rec); err != nil {
		killed := proc.Kill()
		_, ended := proc.Wait(context.WithoutCancel(ctx))
		return rec, nil, errors.Join(err, killed, ended)
	}
	return rec, proc, nil
}

// inherited are the files that the VMM gets.
type inherited struct {
	dir     *os.File // only ours
	lock    *os.File
	log     *os.File
	sockets []*os.File
}

// openFiles locks the directory and lays out what the VMM inherits and reads.
func openFiles(spec vmm.Spec) (_ *inherited, err error) {
	files := &inherited{}
	defer func() {
		if err != nil {
			files.close()
		}
	}()
	if files.dir, err = os.Open(spec.Dir); err != nil {
		return nil, fmt.Errorf("opening the VM's directory: %w", err)
	}
	if files.lock, err = rundir.TakeLock(spec.Dir); err != nil {
		return nil, err
	}
	if err := rundir.Remove(files.dir, append(sockets, rundir.RecordFile, FileEnd)...); err != nil {
		return nil, err
	}
	described, err := json.Marshal(spec)
	if err == nil {
		err = os.WriteFile(filepath.Join(spec.Dir, FileMachine), described, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("describing the machine: %w", err)
	}
	const flags = os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND
	if files.log, err = os.OpenFile(filepath.Join(spec.Dir, rundir.LogFile), flags, 0o600); err != nil {
		return nil, fmt.Errorf("making the VMM's log: %w", err)
	}
	for _, name := range sockets {
		sock, err := rundir.Listen(files.dir, name)
		if err != nil {
			return nil, errors.Join(err, rundir.Remove(files.dir, sockets...))
		}
		files.sockets = append(files.sockets, sock)
	}
	return files, nil
}

// handOver closes our copies of what is the VMM's alone: its end must end our
// connections.
func (f *inherited) handOver() {
	for _, file := range append(f.sockets, f.log) {
		if file != nil {
			_ = file.Close() // nothing was written through it
		}
	}
	f.sockets, f.log = nil, nil
}

func (f *inherited) close() {
	f.handOver()
	for _, file := range []*os.File{f.lock, f.dir} {
		if file != nil {
			_ = file.Close() // the VMM's copy of the lock stays
		}
	}
}

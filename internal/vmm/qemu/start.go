package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// bringUp bounds the way from exec to running vCPUs; only a hung QEMU needs it.
const bringUp = 30 * time.Second

// Start runs spec.
func (d *Driver) Start(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	if err := d.Prepare(ctx, spec); err != nil {
		return nil, err
	}
	accel, err := d.resolve(ctx, spec)
	if err != nil {
		return nil, err
	}
	m, err := d.launch(ctx, spec, accel)
	if err != nil {
		return nil, fmt.Errorf("starting the VMM of %s: %w", spec.Name, err)
	}
	return m, nil
}

// resolve decides the accelerator.
func (d *Driver) resolve(ctx context.Context, spec vmm.Spec) (vmm.Accel, error) {
	if spec.Accel == vmm.AccelTCG {
		return vmm.AccelTCG, nil
	}
	reason, err := d.kvmReason(ctx, spec.Kernel, spec.Initramfs)
	switch {
	case err != nil:
		return "", err
	case reason == "":
		return vmm.AccelKVM, nil
	case spec.Accel == vmm.AccelKVM:
		return "", fmt.Errorf("KVM was asked for, but %s: %w", reason, vmm.ErrUnsupported)
	}
	d.log.InfoContext(ctx, "KVM does not work here; the guest runs under TCG, which is slower", "reason", reason)
	return vmm.AccelTCG, nil
}

// launch spawns QEMU and brings it up, or leaves nothing of it. We hold the
// lock too until then, so that cleaning up meets nobody else's Start.
func (d *Driver) launch(ctx context.Context, spec vmm.Spec, accel vmm.Accel) (_ *machine, err error) {
	files, err := openFiles(spec.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rundir.Remove(files.dir, append(sockets, rundir.RecordFile)...))
		}
		files.close()
	}()
	rec, proc, err := d.spawn(ctx, spec, accel, files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bringUp)
	defer cancel()
	m := newMachine(d.log, spec, rec, proc)
	// QEMU waits for us before it makes anything of the guest's.
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

// spawn starts QEMU stopped, and records it.
func (d *Driver) spawn(ctx context.Context, spec vmm.Spec, accel vmm.Accel, files *inherited) (record, *hostexec.Process, error) {
	rec := record{Accel: accel, Started: time.Now()}
	var khz int64
	if accel == vmm.AccelTCG {
		var err error
		if khz, err = d.tsc.kHz(ctx); err != nil {
			return rec, nil, err
		}
		if rec.Turns, err = d.takesTurns(ctx, spec); err != nil {
			return rec, nil, err
		}
	}
	args, err := commandLine(spec, rec, kernelCmdline(spec, accel, khz))
	if err != nil {
		return rec, nil, err
	}
	proc, err := hostexec.Spawn(hostexec.Daemon{
		Name: d.cfg.Binary, Args: args, Dir: spec.Dir, Stdout: files.log, Stderr: files.log,
		ExtraFiles: append([]*os.File{files.lock}, files.sockets...),
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

// inherited are the files that QEMU gets.
type inherited struct {
	dir     *os.File // only ours
	lock    *os.File // descriptor fdLock
	log     *os.File
	sockets []*os.File // from fdQMP on
}

// openFiles locks the directory and lays out what QEMU inherits. Left-overs
// are removed under the lock, so they are nobody's.
func openFiles(path string) (_ *inherited, err error) {
	files := &inherited{}
	defer func() {
		if err != nil {
			files.close()
		}
	}()
	if files.dir, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("opening the VM's directory: %w", err)
	}
	if files.lock, err = rundir.TakeLock(path); err != nil {
		return nil, err
	}
	if err := rundir.Remove(files.dir, append(sockets, rundir.RecordFile, fileTrace)...); err != nil {
		return nil, err
	}
	const flags = os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND
	if files.log, err = os.OpenFile(filepath.Join(path, rundir.LogFile), flags, 0o600); err != nil {
		return nil, fmt.Errorf("making QEMU's log: %w", err)
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

// handOver closes our copies of what is QEMU's alone: its end must end our
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
			_ = file.Close() // QEMU's copy of the lock stays
		}
	}
}

package firecracker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// bringUp bounds the way from exec to running vCPUs; only a hung VMM needs it.
const bringUp = 30 * time.Second

// record is vmm.json: what nobody can ask Firecracker for.
type record struct {
	Process   hostexec.ID   `json:"process"`
	Started   time.Time     `json:"started"`
	Isolation vmm.Isolation `json:"isolation"`
	Reduced   []string      `json:"reduced,omitempty"`
	// Ended is why we ended it, written before we do.
	Ended string `json:"ended,omitempty"`
	// Paused is why it was paused last.
	Paused string `json:"paused,omitempty"`
	// Said: the guest's kernel has said its last words.
	Said bool `json:"said,omitempty"`
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

// launch starts Firecracker, enclosed where the host lets us.
func (d *Driver) launch(ctx context.Context, spec vmm.Spec) (*machine, error) {
	m, err := d.launchAs(ctx, spec, d.whyReduced())
	var not *notEnclosed
	if errors.As(err, &not) {
		d.log.WarnContext(ctx, "this host does not let Firecracker be enclosed", "reason", not.reason)
		d.setReduced(not.reason)
		if err := d.checkNetwork(spec.Network); err != nil {
			return nil, err
		}
		return d.launchAs(ctx, spec, not.reason)
	}
	return m, err
}

// launchAs spawns Firecracker, enclosed unless there is a reason why not, and
// brings it up, or leaves nothing of it. We hold the lock too until then, so
// that cleaning up meets nobody else's Start.
func (d *Driver) launchAs(ctx context.Context, spec vmm.Spec, reduced string) (_ *machine, err error) {
	files, err := openFiles(spec.Dir, hasCard(spec) && reduced == "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, cleanUp(spec.Dir))
		}
		files.close()
	}()
	rec, proc, err := d.spawn(ctx, spec, reduced, files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bringUp)
	defer cancel()
	m := d.newMachine(spec, rec, proc)
	// Nothing of the guest's is made before it is configured.
	d.cfg.Settle.Do(ctx, d.log, rec.Process.PID)
	if err := m.attach(ctx, files); err != nil {
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

// spawn starts Firecracker and records it.
func (d *Driver) spawn(ctx context.Context, spec vmm.Spec, reduced string, files *inherited) (record, *hostexec.Process, error) {
	rec := record{Started: time.Now(), Isolation: vmm.IsolationNamespaces}
	if err := context.Cause(ctx); err != nil {
		return rec, nil, err
	}
	path, err := d.binary()
	if err != nil {
		return rec, nil, err
	}
	if reduced != "" {
		rec.Isolation, rec.Reduced = vmm.IsolationSandbox, []string{
			"Its VMM is in no namespaces of its own and sees this host's processes and network: " + reduced + ".",
		}
	}
	proc, err := d.run(ctx, spec, path, reduced == "", files)
	if err != nil {
		return rec, nil, err
	}
	rec.Process = proc.ID()
	if err := rundir.WriteRecord(spec.Dir, rec); err != nil {
		killed := proc.Kill()
		_, ended := proc.Wait(context.WithoutCancel(ctx))
		return rec, nil, errors.Join(err, killed, ended)
	}
	return rec, proc, nil
}

// run starts the program at path.
func (d *Driver) run(ctx context.Context, spec vmm.Spec, path string, enclosed bool, files *inherited) (*hostexec.Process, error) {
	f := enclose.Files{Stdin: files.in, Stdout: files.out, Stderr: files.stderr, Extra: files.extra()}
	d.mu.Lock()
	warden := d.warden[spec.Dir]
	d.mu.Unlock()
	if enclosed {
		var proc *hostexec.Process
		var err error
		if warden != nil {
			proc, err = warden.Start(ctx, f)
		} else {
			proc, err = enclose.Starter{Stage: d.cfg.Stage}.Start(path, plan(spec), f)
		}
		if err != nil && ctx.Err() == nil {
			err = &notEnclosed{err.Error()}
		}
		return proc, err
	}
	args := commandLine(spec)
	return hostexec.Spawn(hostexec.Daemon{
		Name: path, Title: args[0], Args: args[1:], Dir: filepath.Join(spec.Dir, dirRun), Env: environment(),
		Stdin: f.Stdin, Stdout: f.Stdout, Stderr: f.Stderr, ExtraFiles: f.Extra,
	})
}

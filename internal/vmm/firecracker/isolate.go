package firecracker

import (
	"context"
	"path/filepath"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// Stage makes who will start spec's VMM in its enclosure, now and after each
// reboot of the guest: a process that has confined itself may mount nothing,
// and so can enclose nothing.
func (d *Driver) Stage(ctx context.Context, spec vmm.Spec) (programs []string, err error) {
	if err := makeRunDir(spec.Dir); err != nil {
		return nil, err
	}
	path, err := d.binary()
	if err != nil {
		return nil, err
	}
	if _, err := d.versionOf(ctx, path); err != nil {
		return nil, err
	}
	programs = []string{path}
	d.mu.Lock()
	staged := d.warden[spec.Dir] != nil
	d.mu.Unlock()
	if staged {
		return programs, nil
	}
	reason, err := d.whyNotEnclosed(ctx, spec, path)
	if err != nil || reason != "" {
		return programs, err
	}
	w, err := enclose.Starter{Stage: d.cfg.Stage}.NewWarden(path, plan(spec))
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warden[spec.Dir] = w
	return programs, nil
}

// whyNotEnclosed says why this host does not let us enclose the program at
// path, "" if it does: by trying once, as nothing else tells.
func (d *Driver) whyNotEnclosed(ctx context.Context, spec vmm.Spec, path string) (string, error) {
	if len(d.cfg.Stage) == 0 {
		return "it was started by a program that cannot enclose it", nil
	}
	d.mu.Lock()
	reason, tried := d.reduced[path]
	d.mu.Unlock()
	if tried {
		return reason, nil
	}
	if err := makeRunDir(spec.Dir); err != nil {
		return "", err
	}
	err := enclose.Starter{Stage: d.cfg.Stage}.Try(ctx, path, enclose.Plan{
		Root: filepath.Join(spec.Dir, dirRoot), Dir: filepath.Join(spec.Dir, dirRun),
		Binds: []enclose.Bind{{From: kvmprobe.Device, To: kvmprobe.Device, Device: true}},
	}, "--version")
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		reason = err.Error()
		d.log.WarnContext(ctx, "this host does not let Firecracker be enclosed", "reason", reason)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reduced[path] = reason
	return reason, nil
}

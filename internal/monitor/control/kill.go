package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
)

// Signature is who keeps a VM.
type Signature struct {
	hostexec.ID             // the monitor
	VMM         hostexec.ID `json:"vmm,omitzero"` // zero while none is known to run
}

// maxKills bounds how often a monitor is told, a second or two between each.
const maxKills = 20

// killedWait bounds the wait for the end of processes that were killed.
const killedWait = 30 * time.Second

// Kill ends VMM and monitor and waits until both processes are gone.
func (r *Runtime) Kill(ctx context.Context, dir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if done, err := r.killBoth(ctx, dir); done || err != nil {
		return err
	}
	var err error
	for round := 0; ; round++ {
		if err != nil || round > 1 { // after one that went well mostly nothing is left
			if err := pause(ctx, round); err != nil {
				return err
			}
		}
		if round == 0 { // mostly there is a monitor, which need not be asked what it knows
			if err = r.killThrough(ctx, dir, 0); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		} else {
			var s machine.Status
			s, err = r.Status(ctx, dir)
			if errors.Is(err, machine.ErrNotRunning) {
				return nil
			}
			if err == nil {
				err = r.killThrough(ctx, dir, s.MonitorPID)
			}
		}
		if silent(err) { // a new monitor takes the VMM over, and is asked
			r.log.Warn("the monitor does not answer, ending it", "dir", dir)
			err = r.endMonitor(ctx, dir)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && api.KindOf(err) != api.KindUnavailable {
			return err
		}
		if err != nil && round >= maxRevivals {
			return err
		}
		if round >= maxKills {
			return fault.New(fault.Unavailable, "See monitor.log in its directory.", "the VM's monitor answers, and does not end it")
		}
	}
}

// killBoth ends the two processes without a word to either, which takes no
// longer than the VMM's own end. done is false where it cannot be sure that no
// other VMM is left: then the monitor is to be asked.
func (r *Runtime) killBoth(ctx context.Context, dir string) (done bool, err error) {
	var by Signature
	if jsonfile.Read(dir, MonitorFile, &by) != nil || by.VMM == (hostexec.ID{}) || !keeps(by.ID, dir) {
		return false, nil
	}
	release, err := r.turns.Take(ctx, dir) // nobody revives the monitor meanwhile
	if err != nil {
		return false, err
	}
	defer release()
	monitor, err := hostexec.Open(by.ID)
	if err != nil {
		return false, nil //nolint:nilerr // it has ended: another one may be at its place
	}
	defer monitor.Close()
	vmm, err := hostexec.Open(by.VMM)
	if err != nil {
		return false, nil //nolint:nilerr // it has ended: the monitor may be starting the next one
	}
	defer vmm.Close()
	if monitor.Kill() != nil || !vmm.Alive() {
		return false, nil
	}
	// The monitor starts no other VMM any more: it had not seen the end of this one.
	if err := vmm.Kill(); err != nil {
		return false, fmt.Errorf("ending the VMM: %w", err)
	}
	// Whoever gives up now must not find it running.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), killedWait)
	defer cancel()
	for _, p := range []*hostexec.Process{monitor, vmm} {
		if _, err := p.Wait(bounded); err != nil {
			return false, err
		}
	}
	return true, r.wasKilled(dir)
}

// wasKilled writes the monitor's last word for it.
func (r *Runtime) wasKilled(dir string) error {
	if ended(dir) {
		return nil // it had the time to do so
	}
	var l machine.Launch
	if err := jsonfile.Read(dir, LaunchFile, &l); err != nil {
		return fmt.Errorf("reading what ran in %s: %w", dir, err)
	}
	return jsonfile.WriteStatus(dir, ExitFile, machine.Exit{BootID: l.BootID, Reason: machine.ExitKilled, At: time.Now().UTC()})
}

// killThrough has the monitor end its VMM, and waits until the monitor is gone.
func (r *Runtime) killThrough(ctx context.Context, dir string, pid int) error {
	monitor, err := r.hold(dir, pid)
	if errors.Is(err, os.ErrProcessDone) && pid > 0 {
		// Whoever answers here keeps this VM, though its lock is another file by now;
		// the next round sees whether it is gone.
		_, err = r.call(ctx, dir, api.Empty{}, MethodKill)
		return err
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil // the next round sees what is left
	}
	if err != nil {
		return err
	}
	_, err = r.call(ctx, dir, api.Empty{}, MethodKill)
	if err == nil {
		_, err = monitor.Wait(ctx)
	}
	return errors.Join(err, monitor.Close())
}

// hold takes hold of the monitor's process, whoever spawned it: by the identity
// that it wrote down, as its pid may be another process's by now.
func (r *Runtime) hold(dir string, pid int) (*hostexec.Process, error) {
	var by Signature
	err := jsonfile.Read(dir, MonitorFile, &by)
	id := by.ID
	if errors.Is(err, fs.ErrNotExist) && pid > 0 { // an older monitor, which answered just now
		id, err = hostexec.Identify(pid)
	}
	if err != nil {
		return nil, err
	}
	if !keeps(id, dir) {
		return nil, os.ErrProcessDone
	}
	return hostexec.Open(id)
}

// keeps reports whether a process is the monitor of this very directory: what a
// copy of a directory says of its processes is true of the original's.
func keeps(id hostexec.ID, dir string) bool {
	lock, err := os.Stat(filepath.Join(dir, LockFile))
	return err == nil && hostexec.HoldsLock(id.PID, lock, hostexec.LockFlock)
}

// endMonitor ends a monitor that does not answer; its VMM lives on.
func (r *Runtime) endMonitor(ctx context.Context, dir string) error {
	monitor, err := r.hold(dir, 0)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the monitor that does not answer: %w", err)
	}
	if err := monitor.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("ending the monitor that does not answer: %w", err), monitor.Close())
	}
	_, err = monitor.Wait(ctx)
	return errors.Join(err, monitor.Close())
}

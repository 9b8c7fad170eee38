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
	"github.com/banger-vm/banger/internal/hostexec"
)

// logTail is how much of a monitor's log an error carries.
const logTail = 1 << 10

func silent(err error) bool { return errors.Is(err, errSilent) }

// pause keeps repeated attempts from using up a processor.
func pause(ctx context.Context, round int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(50 * time.Millisecond << min(round, 5)):
		return nil
	}
}

// gaveUp says why a monitor does not stay up, in its own last words.
func (r *Runtime) gaveUp(dir string, err error) error {
	if silent(err) {
		return err
	}
	log, rerr := os.ReadFile(filepath.Join(dir, LogFile)) // bounded by the monitor
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	return fmt.Errorf("the VM's monitor does not stay up: %w; its last words:\n%s", err, log[max(0, len(log)-logTail):])
}

// killThrough has the monitor end its VMM, and waits until the monitor is gone.
func (r *Runtime) killThrough(ctx context.Context, dir string, pid int) error {
	monitor, err := r.hold(dir, pid)
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
	var id hostexec.ID
	err := ReadFile(dir, MonitorFile, &id)
	if errors.Is(err, fs.ErrNotExist) && pid > 0 { // an older monitor, which answered just now
		id, err = hostexec.Identify(pid)
	}
	if err != nil {
		return nil, err
	}
	return hostexec.Open(id)
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

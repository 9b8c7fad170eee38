package control

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/unit"
)

// Units is the service manager that keeps a VM's monitor and VMM in units of
// their own, so that neither ends with the other, with the daemon, or with the
// session that started it. Where there is none the first three return
// unit.ErrNone.
type Units interface {
	Start(ctx context.Context, s unit.Service) error
	Enclose(ctx context.Context, s unit.Scope) error
	// Leftovers are the processes that live on in a service that has ended.
	Leftovers(ctx context.Context, service string) ([]int, error)
	// Of names the unit that holds a process.
	Of(pid int) (string, error)
	// Present reports whether a manager seems to run.
	Present() bool
}

var _ Units = (*unit.Manager)(nil)

// MonitorUnits are the names of the monitors' services, as a shell's pattern.
const MonitorUnits = "banger-monitor-*.service"

func monitorUnit(vmID string) string { return "banger-monitor-" + vmID + ".service" }
func vmmUnit(vmID string) string     { return "banger-vmm-" + vmID + ".scope" }

// VMMScope is the scope of a VM's VMM.
func VMMScope(vmID, name string, pids ...int) unit.Scope {
	return unit.Scope{Name: vmmUnit(vmID), Description: "The VMM of banger's VM " + name, PIDs: pids}
}

// startService starts a monitor as a service. done is false where that cannot
// be and the monitor is to be spawned: a VM without a unit is better than none.
func (r *Runtime) startService(ctx context.Context, l machine.Launch, d hostexec.Daemon, adopt bool) (done bool, err error) {
	if r.cfg.Units == nil || !r.cfg.Units.Present() {
		return false, nil
	}
	if adopt {
		err = r.clear(ctx, l)
	}
	if err == nil {
		err = r.cfg.Units.Start(ctx, unit.Service{
			Name: monitorUnit(l.VMID), Description: "The monitor of banger's VM " + l.Spec.Name,
			Program: d.Name, Args: d.Args, Dir: d.Dir, Env: d.Env, Stdin: d.Stdin, Stderr: d.Stderr, Slack: d.Slack,
		})
	}
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case !errors.Is(err, unit.ErrNone):
		r.log.Warn("the monitor is started without a unit of its own", "vm", l.VMID, "err", err)
	}
	return false, nil
}

// clear moves a VMM whose monitor was killed before it had settled it out of
// the unit that the next monitor needs.
func (r *Runtime) clear(ctx context.Context, l machine.Launch) error {
	pids, err := r.cfg.Units.Leftovers(ctx, monitorUnit(l.VMID))
	if err != nil || len(pids) == 0 {
		return err
	}
	return r.cfg.Units.Enclose(ctx, VMMScope(l.VMID, l.Spec.Name, pids...))
}

// nameUnits says which units hold monitor and VMM: what the kernel says, not
// what was done.
func (r *Runtime) nameUnits(s *machine.Status) {
	if r.cfg.Units == nil || s.Phase == machine.PhaseExited || s.VMM.PID == 0 || !r.cfg.Units.Present() {
		return
	}
	for _, part := range []struct {
		what, want string
		pid        int
	}{
		{"monitor", monitorUnit(s.VMID), s.MonitorPID},
		{"VMM", vmmUnit(s.VMID), s.VMM.PID},
	} {
		in, err := r.cfg.Units.Of(part.pid)
		switch {
		case errors.Is(err, os.ErrProcessDone): // the next status tells
		case err == nil && in == part.want:
			s.Units = append(s.Units, in)
		case in == "":
			s.Reduced = append(s.Reduced, fmt.Sprintf("Its %s is in no unit of systemd.", part.what))
		default:
			s.Reduced = append(s.Reduced, fmt.Sprintf("Its %s has no unit of its own, and may end with %s.", part.what, in))
		}
	}
}

// Package usage is what the processes of a running VM take of this host.
package usage

import (
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/machine"
)

// Process is what a process has taken.
type Process struct {
	PID      int
	CPU      time.Duration
	Resident int64 // bytes in memory, what it shares included
	// Proportional is its part of these, 0 where that is not known.
	Proportional int64
}

// Host is what a VM takes at one moment; nil is a process that is not there.
type Host struct {
	At           time.Time
	VMM, Monitor *Process
}

// Of looks at the processes of a machine.
func Of(s machine.Status, now time.Time) Host {
	return Host{At: now, VMM: look(s.VMM.PID), Monitor: look(s.MonitorPID)}
}

func look(pid int) *Process {
	if pid <= 0 {
		return nil
	}
	cpu, resident, err := hostexec.Usage(pid)
	if err != nil { // it has ended
		return nil
	}
	p := &Process{PID: pid, CPU: cpu, Resident: resident}
	if pss, err := hostexec.Proportional(pid); err == nil { // of another user's it is not told
		p.Proportional = pss
	}
	return p
}

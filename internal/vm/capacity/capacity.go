// Package capacity decides whether this host can carry one more VM. A guest's
// memory is given to it page by page, so what counts is not what VMs have, but
// what they may yet take: a host that runs out of it ends one of them, and with it
// somebody's work.
package capacity

import (
	"fmt"
	"sync"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/size"
)

// Host is what there is. Sizes are bytes.
type Host struct {
	Kernel         string // its release
	CPUs           int    // that this process may use
	MemoryBytes    int64  // of the host, or of the control group that bounds it
	AvailableBytes int64  // of these, without swapping
	DiskBytes      int64  // of the file system that the VMs are on
	FreeBytes      int64  // of these, for this user
}

// Load is what a VM may take.
type Load struct {
	CPUs        int
	MemoryBytes int64
	// ResidentBytes of its memory are taken already.
	ResidentBytes int64
}

// Policy is how much of what is promised is believed to be taken.
type Policy struct {
	// MemoryOvercommit VMs' worth of memory fit into one's; default 1.5.
	MemoryOvercommit float64
	// CPUOvercommit virtual processors fit on one; default 16.
	CPUOvercommit float64
	// DiskReserve is left free, in bytes; default 256 MiB.
	DiskReserve int64
}

// The defaults, of which the first two are those of a large cloud's scheduler.
const (
	defaultMemory  = 1.5
	defaultCPU     = 16
	defaultReserve = 256 << 20
)

// WithDefaults fills in what is not given.
func (p Policy) WithDefaults() Policy {
	if p.MemoryOvercommit == 0 {
		p.MemoryOvercommit = defaultMemory
	}
	if p.CPUOvercommit == 0 {
		p.CPUOvercommit = defaultCPU
	}
	if p.DiskReserve == 0 {
		p.DiskReserve = defaultReserve
	}
	return p
}

// Check refuses settings that make no sense.
func (p Policy) Check() error {
	switch {
	case p.MemoryOvercommit != 0 && (p.MemoryOvercommit < 0.1 || p.MemoryOvercommit > 100):
		return fault.New(fault.Invalid, "Use 1 to count all memory of VMs, 2 to count half of it.", "memory_overcommit cannot be %g", p.MemoryOvercommit)
	case p.CPUOvercommit != 0 && (p.CPUOvercommit < 0.1 || p.CPUOvercommit > 1000):
		return fault.New(fault.Invalid, "Use 1 for one virtual processor on each of the host's.", "cpu_overcommit cannot be %g", p.CPUOvercommit)
	case p.DiskReserve < 0:
		return fault.New(fault.Invalid, "Use a size, for instance 1G.", "disk_reserve cannot be %d", p.DiskReserve)
	}
	return nil
}

// Sum is what running VMs have and may yet take.
type Sum struct {
	VMs, CPUs   int
	MemoryBytes int64
	YetBytes    int64 // that they may yet take
}

// Add counts one more.
func (s *Sum) Add(l Load) {
	s.VMs++
	s.CPUs += l.CPUs
	s.MemoryBytes += l.MemoryBytes
	s.YetBytes += max(0, l.MemoryBytes-l.ResidentBytes)
}

// force is how whoever knows better goes on.
const force = ", or use --force"

// Fits refuses what h cannot carry beside the VMs of s, with a fault.Precondition.
// A load of nothing is a VM that is only made.
func (p Policy) Fits(h Host, s Sum, l Load) error {
	if l.MemoryBytes > 0 {
		need := int64(float64(s.YetBytes+l.MemoryBytes) / p.MemoryOvercommit)
		if need > h.AvailableBytes {
			promised := ""
			if s.YetBytes > 0 {
				promised = fmt.Sprintf(", of which VMs that run (%d) may yet take %s", s.VMs, size.Format(s.YetBytes))
			}
			return fault.New(fault.Precondition, "Stop a VM (banger ps), use less memory (-m), set memory_overcommit in config.toml"+force+".",
				"this host has too little memory for a VM of %s: %s of %s are available%s (memory_overcommit %g)",
				size.Format(l.MemoryBytes), size.Format(h.AvailableBytes), size.Format(h.MemoryBytes), promised, p.MemoryOvercommit)
		}
		if most := int(float64(h.CPUs) * p.CPUOvercommit); s.CPUs+l.CPUs > most {
			return fault.New(fault.Precondition, "Stop a VM (banger ps), use fewer processors (-c), set cpu_overcommit in config.toml"+force+".",
				"this host has too few processors for %d more virtual ones: its %d carry %d (cpu_overcommit %g), and %d are in use",
				l.CPUs, h.CPUs, most, p.CPUOvercommit, s.CPUs)
		}
	}
	if h.FreeBytes < p.DiskReserve {
		return fault.New(fault.Precondition, "Make room (banger prune, banger image ls), set disk_reserve in config.toml"+force+".",
			"this host has too little room for the VM's disks: %s are free, and %s are to stay so",
			size.Format(h.FreeBytes), size.Format(p.DiskReserve))
	}
	return nil
}

// Judge lets VMs in. It keeps what it granted to those that no record tells of
// yet, so that two who ask at once do not get the same room. Its mutex is a leaf.
type Judge struct {
	look   func() (Host, error)
	policy Policy

	mu      sync.Mutex
	granted map[string]Load // by VM
}

// NewJudge has granted nothing; look asks the host.
func NewJudge(look func() (Host, error), p Policy) *Judge {
	return &Judge{look: look, policy: p.WithDefaults(), granted: map[string]Load{}}
}

// Host asks the host.
func (j *Judge) Host() (Host, error) { return j.look() }

// Policy is what it goes by.
func (j *Judge) Policy() Policy { return j.policy }

// Admits refuses a VM that does not fit beside others, by their IDs, and those
// with a grant. What it has itself, as one that is to be restarted, is its own.
func (j *Judge) Admits(id string, others map[string]Load, l Load) error {
	h, err := j.look()
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.admits(h, id, others, l)
}

// Grant takes the room for a VM, which is in force until Settle, or refuses it
// as Admits does.
func (j *Judge) Grant(id string, others map[string]Load, l Load) error {
	h, err := j.look()
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admits(h, id, others, l); err != nil {
		return err
	}
	j.granted[id] = l
	return nil
}

func (j *Judge) admits(h Host, id string, others map[string]Load, l Load) error {
	h.AvailableBytes += others[id].ResidentBytes
	return j.policy.Fits(h, j.sum(id, others), l)
}

// Settle ends a VM's grant: its record tells of it now, or nothing comes of it.
func (j *Judge) Settle(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.granted, id)
}

// sum counts all but the VM itself; the caller holds the mutex.
func (j *Judge) sum(id string, others map[string]Load) (s Sum) {
	for other, l := range others {
		if other != id {
			s.Add(l)
		}
	}
	for other, l := range j.granted {
		if _, counted := others[other]; !counted && other != id {
			s.Add(l)
		}
	}
	return s
}

// Package residue finds what is left over: processes, files, sockets and units
// of banger's that no record owns, and records that have lost their files. It
// removes nothing, and looks at nothing but what can only be this state
// directory's: names alone prove nothing.
package residue

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
)

// The kinds of strays.
const (
	Process   = "process"
	Directory = "directory"
	File      = "file"
	Socket    = "socket"
	Unit      = "unit"
	Record    = "record"
)

// Stray is something that has lost what it belongs to.
type Stray struct {
	Kind    string
	What    string // a path, a process ID, a name
	Why     string // a sentence without its stop
	Command string // a line for sh that removes it
	// Sure: with it nobody's work can be lost, whatever became of the records.
	Sure    bool
	Process hostexec.ID // of a process
}

// Known is what the records say.
type Known struct {
	VMs             map[string]VM     // by ID
	Images, Kernels map[string]string // names by ID
	// Unmade are the IDs of VMs whose creation was taken back: nobody has ever
	// worked in them.
	Unmade map[string]bool
	// Busy: an operation has not ended, which may own what is half-made.
	Busy bool
}

// NewKnown has no records yet.
func NewKnown(busy bool) Known {
	return Known{VMs: map[string]VM{}, Images: map[string]string{}, Kernels: map[string]string{}, Unmade: map[string]bool{}, Busy: busy}
}

// VM is one by its record.
type VM struct {
	Name string
	Runs bool // or may run, or is just being started or ended
	Made bool // all of its files are there
}

// Host is where strays are looked for.
type Host struct {
	StateDir, CacheDir string
	Socket             string // the daemon's
	UID                int
	Proc               string // where the kernel tells of processes
	// Listens reports whether a process answers on a socket.
	Listens func(ctx context.Context, path string) (bool, error)
	// Monitors are the units of systemd that keep monitors, of whoever's; none
	// where there is no systemd.
	Monitors func(ctx context.Context) ([]Service, error)
	// Stop is the command that stops a unit.
	Stop func(unit string) string
	Now  func() time.Time
}

// Service is a unit of systemd.
type Service struct{ Name, Dir string }

// settle is how long something may be on its way out or in: a monitor that has
// just ended, a VM between its record and its directory.
const settle = 1500 * time.Millisecond

// Find returns the strays, by kind. What is gone, or owned, a moment later is
// none; records is asked before each look.
func Find(ctx context.Context, h Host, records func(context.Context) (Known, error)) ([]Stray, error) {
	first, err := find(ctx, h, records)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	again, err := find(ctx, h, records)
	return slices.DeleteFunc(first, func(s Stray) bool { return !slices.Contains(again, s) }), err
}

func find(ctx context.Context, h Host, records func(context.Context) (Known, error)) ([]Stray, error) {
	known, err := records(ctx)
	if err != nil {
		return nil, err
	}
	l := look{h, known}
	var all []Stray
	for _, part := range []func(context.Context) ([]Stray, error){
		l.processes, l.units, l.vmFiles, l.stateFiles, l.socket, l.cache, l.records,
	} {
		some, err := part(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// look is one look at the host with what the records said just before.
type look struct {
	Host
	Known
}

func (h Host) vms() string { return filepath.Join(h.StateDir, "vms") }

// vmOf is the ID of the VM whose directory dir is; ok is false where it is none
// of this state directory's.
func (h Host) vmOf(dir string) (id string, ok bool) {
	above := filepath.Dir(dir)
	if above == h.vms() {
		return filepath.Base(dir), true
	}
	real, err := filepath.EvalSymlinks(h.vms()) // as the kernel tells it
	return filepath.Base(dir), err == nil && above == real
}

// disowned says why no record owns what runs for the VM id; "" where one does.
func (k Known) disowned(id string) string {
	vm, ok := k.VMs[id]
	switch {
	case !ok:
		return "there is no VM " + id
	case !vm.Runs:
		return "the VM " + vm.Name + " does not run"
	}
	return ""
}

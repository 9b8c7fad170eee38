// Package vm is the life of virtual machines: what is asked for, what is true,
// and the operations that lead from one to the other. It sees disks, networks,
// images, kernels and a running machine through contracts only.
//
// A VM's state is never stored: it is derived from the operation that holds
// its claim, from its monitor's status, and from how its last boot ended.
package vm

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// Record is a VM as the store keeps it.
type Record struct {
	ID        string    `json:"id"`
	Spec      spec.VM   `json:"spec"`
	ImageID   string    `json:"image_id"`  // empty until the image is there
	KernelID  string    `json:"kernel_id"` // empty until the kernel is there
	User      string    `json:"user"`      // the image's login user
	MachineID string    `json:"machine_id"`
	CreatedAt time.Time `json:"created_at"`
	// Choice is the VMM and why it is that one; zero until it is chosen.
	Choice choose.Choice `json:"choice,omitzero"`
	// Made is set once all of the VM's files are there.
	Made bool `json:"made"`
	// Weaker are sentences on what is weaker because of its kernel.
	Weaker []string `json:"weaker,omitempty"`
	// Lacking says what capabilities could not give it, by their names; each is
	// there until that succeeds.
	Lacking map[string]Lack `json:"lacking,omitempty"`
	DiskMS  float64         `json:"disk_ms"` // making the disks took
	Boot    *Boot           `json:"boot,omitempty"`
	// Halted: a user has stopped it since it last began to start.
	Halted bool `json:"halted,omitempty"`
	// Comeback is how far what starts it unasked has come; nil: nowhere.
	Comeback *Comeback `json:"comeback,omitempty"`
}

// Boot is the running or the last boot.
type Boot struct {
	ID        string          `json:"id"`
	VMM       string          `json:"vmm"`
	StartedAt time.Time       `json:"started_at"`
	Status    *machine.Status `json:"status,omitempty"` // the last one seen
	Exit      *machine.Exit   `json:"exit,omitempty"`   // nil while it runs

	Shape *spec.Shape `json:"shape,omitempty"` // what it was started with
	Host  Host        `json:"host,omitzero"`   // on which it runs
	// Forced: it was started whether the host could carry it or not.
	Forced bool `json:"forced,omitempty"`
}

// Host is a host between two of its restarts.
type Host struct {
	Boot    string `json:"boot,omitempty"`    // its kernel's ID of this boot
	Machine string `json:"machine,omitempty"` // of its installation; "" where it has none
}

// Comeback is how far what starts a VM unasked has come: its restart policy, or
// the mark that it starts with the host.
type Comeback struct {
	// Boot is the one whose end is decided on; "" of a VM that never ran.
	Boot  string    `json:"boot,omitempty"`
	Next  time.Time `json:"next,omitzero"` // when it is to be started; zero: it is not
	Row   int       `json:"row,omitempty"` // starts that did not last, since one did
	Total int       `json:"total,omitempty"`
	Why   string    `json:"why,omitempty"` // it is to be started, or was given up
	// GaveUp: the policy has no more starts in a row. Marked: it is to be started
	// because the host was, whatever its policy.
	GaveUp bool `json:"gave_up,omitempty"`
	Marked bool `json:"marked,omitempty"`
}

// MayRun reports whether a boot began whose end is not known.
func (r Record) MayRun() bool { return r.Boot != nil && r.Boot.Exit == nil }

// begin records a boot of what the VM is asked to be now.
func (r *Record) begin(b Boot, unasked bool) {
	shape := r.Spec.Shape()
	b.VMM, b.Shape = r.Spec.VMM, &shape
	r.Boot, r.Halted = &b, false
	if !unasked {
		r.Comeback = nil
	}
}

// shape is what the VM runs with, or is to be started with.
func (r Record) shape() spec.Shape {
	if r.MayRun() && r.Boot.Shape != nil {
		return *r.Boot.Shape
	}
	return r.Spec.Shape()
}

// Store keeps VMs. Names are unique; a ref is what a user types: a name, an ID
// or a unique ID prefix, in that order. Missing rows are fault.NotFound, a taken name is fault.Exists, an
// ambiguous prefix fault.Invalid.
type Store interface {
	InsertVM(ctx context.Context, r Record) error
	// ChangeVM changes a VM in one transaction, so that no other change is lost;
	// nothing is stored where change, which does no I/O, returns false.
	ChangeVM(ctx context.Context, id string, change func(*Record) bool) error
	DeleteVM(ctx context.Context, id string) error // a missing one is no error
	VM(ctx context.Context, ref string) (Record, error)
	VMByID(ctx context.Context, id string) (Record, error) // by nothing else
	VMs(ctx context.Context) ([]Record, error)             // by name
}

// State is the state of a VM, derived from facts.
type State string

// The states.
const (
	Creating State = "creating"
	Stopped  State = "stopped"
	Starting State = "starting"
	Running  State = "running"
	Paused   State = "paused"
	Stopping State = "stopping"
	Deleting State = "deleting"
	Failed   State = "failed"
)

// View is a VM with what is true of it now.
type View struct {
	Record
	Dir       string
	State     State
	Reason    string
	Operation string          // the one that holds the claim
	Live      *machine.Status // nil when nothing runs
	Isolation string          // for people; "" while it is not known
	Reduced   []string
	Forwards  []forward.Status
	Reaches   []string // what the guest can, in sentences
	Pending   []string // the fields of spec.Shape that are to be others at its next start
}

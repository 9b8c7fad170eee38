// Package hook is the contract of capabilities: what a VM is given besides its
// machine, such as who its user is. A capability acts at points of a VM's life,
// each time as a step of the operation that leads there, by its own name and
// with its own deadline. None can keep another from acting.
package hook

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/machine"
)

// Point is where in a VM's life a hook acts. The hooks of one point act beside
// each other.
type Point string

// The points.
const (
	Create   Point = "create"    // its disks are made; what a hook puts into its directory goes with that
	PreStart Point = "pre-start" // before a start, also one that finds the VM running
	Ready    Point = "ready"     // its guest can run commands
	Delete   Point = "delete"    // nothing of it runs; its files are there, or were never made
	// GivenUp is in no step: a create or a start failed or was cancelled, perhaps
	// before any of its steps, and is not over yet.
	GivenUp Point = "given up"
)

// VM is a VM as a hook sees it. At GivenUp, and at Delete of one whose making was
// taken back, only ID, Dir and Brought are known.
type VM struct {
	ID, Name, User string
	Dir            string
	Machine        machine.Status // at Ready
	// Brought is where the capability finds what the request of this very
	// operation brought for it, in words of its own; "" is nothing. A create has it
	// at Create, a start at PreStart, and both at GivenUp.
	Brought string
}

// Hook is what a capability does at a point.
type Hook struct {
	At Point
	// Deadline bounds Do, 0: DefaultDeadline. One that does not return by then is
	// left behind, and counts as failed.
	Deadline time.Duration
	// Essential: its failure is the operation's. Any other is reported, and the
	// VM is what it is without.
	Essential bool
	// Do must be idempotent: a daemon that was killed in it has the next one do it
	// again. It ends when ctx does.
	Do func(ctx context.Context, vm VM) error
}

// DefaultDeadline is that of a hook that names none.
const DefaultDeadline = 10 * time.Second

// Capability is something that VMs are given. Its name is one or two words, as
// people read them.
type Capability interface {
	Name() string
	Hooks() []Hook // at most one for each point
}

// Owner is whose VMs they are.
type Owner interface {
	// HookedVM returns a VM as its hooks see it now.
	HookedVM(ctx context.Context, id string) (VM, error)
	// HookEnded is told how a hook that is not essential ended.
	HookEnded(ctx context.Context, id string, end End)
}

// End is how a hook ended.
type End struct {
	Capability string
	Step       string // its name
	Brought    bool   // the hook was brought something
	Err        error  // nil: well
}

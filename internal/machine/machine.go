// Package machine is a running VM as the daemon sees it: the contract between
// internal/vm and whatever runs the VM. A VM's monitor implements it
// (internal/monitor/control); a fake serves the tests of internal/vm.
package machine

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// Launch is all that a monitor needs to run its VM, written as launch.json
// (mode 0600: it holds the guest's host keys) into the VM's directory.
type Launch struct {
	Protocol int           `json:"protocol"`
	VMID     string        `json:"vm_id"`
	BootID   string        `json:"boot_id"` // made by the daemon, new for every start
	Driver   string        `json:"driver"`
	Spec     vmm.Spec      `json:"spec"`
	Identity wire.Identity `json:"identity"` // Time and Entropy are filled in when it is sent
	// Forwards are those that it begins with, and with AutoForward one for each
	// port that the guest listens on.
	Forwards    []forward.Forward `json:"forwards,omitempty"`
	AutoForward bool              `json:"auto_forward,omitempty"`
	// BootTimeoutMS bounds the wait for the agent; the guest is killed then.
	BootTimeoutMS int64 `json:"boot_timeout_ms"`
}

// Protocol is the version of Launch and of the monitor's protocol.
const Protocol = 1

// Phase is how far a machine is.
type Phase string

// The phases of a machine.
const (
	PhaseStarting Phase = "starting" // the VMM is being started or the guest boots
	PhaseRunning  Phase = "running"  // the agent has its identity: exec works
	PhasePaused   Phase = "paused"   // by the VMM; Reason says why
	PhaseStopping Phase = "stopping"
	PhaseExited   Phase = "exited" // Exit says how
)

// Status is what a monitor knows. Version grows with every change.
type Status struct {
	Version    uint64 `json:"version"`
	VMID       string `json:"vm_id"`
	BootID     string `json:"boot_id"`
	MonitorPID int    `json:"monitor_pid"`
	Phase      Phase  `json:"phase"`
	Reason     string `json:"reason,omitempty"`
	// Pause is why the VMM has stopped its guest, as a vmm.Event has it; "" while
	// it has not. Held: a user wants that, so only a user or a stop ends it.
	Pause string `json:"pause,omitempty"`
	Held  bool   `json:"held,omitempty"`

	VMM      vmm.Facts  `json:"vmm"`
	Guest    wire.Hello `json:"guest"`
	SpawnMS  float64    `json:"spawn_ms"`
	ReadyMS  float64    `json:"ready_ms"`  // spawn to identity set
	SystemMS float64    `json:"system_ms"` // spawn to the image's init having finished
	Reboots  int        `json:"reboots,omitempty"`
	Exit     *Exit      `json:"exit,omitempty"`
	// Forwards are what is listened on for it; never changed in place.
	Forwards []forward.Status `json:"forwards,omitempty"`
	// Units are those of the service manager that hold monitor and VMM.
	Units []string `json:"units,omitempty"`
	// Network is what the guest's network refused, since this monitor began.
	Network *network.Report `json:"network,omitempty"`
	// Reduced says in sentences what protects this host less than it could.
	Reduced []string `json:"reduced,omitempty"`
}

// Exit is how a boot ended; also written as exit.json into the VM's directory.
type Exit struct {
	BootID  string    `json:"boot_id"`
	Reason  string    `json:"reason"` // one of those below
	Detail  string    `json:"detail,omitempty"`
	Console string    `json:"console,omitempty"` // its last lines, at most 4 KiB, as the guest wrote them
	At      time.Time `json:"at"`
}

// The reasons of an Exit.
const (
	ExitStopped     = "stopped"      // asked for by us, in good order
	ExitPoweroff    = "poweroff"     // by the guest itself
	ExitKilled      = "killed"       // by us
	ExitPanic       = "panic"        // the guest's kernel
	ExitCrashed     = "crashed"      // the VMM
	ExitBootTimeout = "boot_timeout" // the agent never answered
	ExitStartFailed = "start_failed" // the VMM never ran

	ExitHostRestarted = "host_restarted" // all that ran ended with that
	ExitMoved         = "moved"          // its directory is a copy, or was moved from where it ran
)

// ErrNotRunning says that no machine runs there.
var ErrNotRunning = errors.New("the VM is not running")

// Runtime runs machines. dir is a VM's directory. All methods may be called
// again after a crash of the daemon; Launch on a boot that runs joins it.
type Runtime interface {
	// Launch starts the boot that l describes and returns when its VMM runs.
	// An error leaves nothing running.
	Launch(ctx context.Context, dir string, l Launch) (Status, error)
	// Status returns at once what is known; ErrNotRunning when neither a
	// monitor nor a VMM lives. It starts a monitor for an orphaned VMM.
	Status(ctx context.Context, dir string) (Status, error)
	// Watch returns when the status is newer than after, or ctx is done.
	Watch(ctx context.Context, dir string, after uint64) (Status, error)
	// Stop asks the guest to shut down and returns when the machine is gone;
	// at ctx's deadline it returns with the machine still stopping.
	Stop(ctx context.Context, dir string) (Exit, error)
	// Kill ends monitor and VMM and returns when both are gone. Nothing
	// running is no error.
	Kill(ctx context.Context, dir string) error
	// LastExit reads how the last boot ended; fs.ErrNotExist if unknown.
	LastExit(dir string) (Exit, error)
}

// Pauser is how a running machine is paused by a user. A Runtime that implements
// it does so for the same directories; ErrNotRunning as there.
type Pauser interface {
	// Pause stops the guest until Resume or Stop, whoever dies meanwhile, also
	// one that is paused for something else already; fault.Precondition where
	// its VMM cannot. A machine that is paused so is no error.
	Pause(ctx context.Context, dir string) error
	// Resume lets it go on; fault.Precondition where something else still
	// keeps it from that, such as a full disk. A machine that runs is no error.
	Resume(ctx context.Context, dir string) error
}

// Resizer is how the work disk of a running machine grows. A Runtime that
// implements it does so for the same directories; ErrNotRunning as there.
type Resizer interface {
	// GrowWork has VMM and guest take the size that the work disk's file has by
	// now (disk.Grow), and returns when the guest's file system has it.
	// fault.Precondition where they cannot, or while the machine is paused: it has
	// the size from its next start on. It may be called again, with any size that
	// is not smaller.
	GrowWork(ctx context.Context, dir string, sizeBytes int64) error
}

// Ports is how the ports of a running machine are reached. A Runtime that
// implements it does so for the same directories; ErrNotRunning as there.
type Ports interface {
	// Forward makes these the machine's forwards, until its end: all of them or,
	// where one's port cannot be opened (fault.Busy, fault.Precondition), none.
	Forward(ctx context.Context, dir string, all []forward.Forward, auto bool) error
	// Listening asks the guest what listens there.
	Listening(ctx context.Context, dir string) (Listening, error)
}

// Listening is what listens in a guest, and the forwards that lead there, with
// their open connections.
type Listening struct {
	Guest    wire.Listeners   `json:"guest"`
	Forwards []forward.Status `json:"forwards"`
}

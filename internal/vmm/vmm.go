// Package vmm is the contract of VMM drivers: it makes a machine run, finds it
// again, and ends it. Everything above it is written once; nothing of a
// particular VMM is in it.
package vmm

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
)

// Accel is what runs the guest's instructions.
type Accel string

// The accelerators.
const (
	AccelAuto Accel = "auto" // KVM where it works, else TCG
	AccelKVM  Accel = "kvm"
	AccelTCG  Accel = "tcg"
)

// Spec is a machine to run. A driver adds what only it knows (console device,
// clock arguments) to the command line.
type Spec struct {
	Name        string             `json:"name"` // the VM's name, for process titles
	Dir         string             `json:"dir"`  // absolute; the VMM runs in it; sockets and records lie there
	CPUs        int                `json:"cpus"`
	MemoryBytes int64              `json:"memory"`
	Accel       Accel              `json:"accel"`     // resolved by the driver at Start when auto
	Kernel      string             `json:"kernel"`    // vmlinux (ELF), absolute
	Initramfs   string             `json:"initramfs"` // newc cpio, absolute
	Cmdline     []string           `json:"cmdline"`   // banger's own arguments
	Drives      []disk.Drive       `json:"drives"`    // one per disk.Slots, in their order
	Network     network.Attachment `json:"network"`
}

// Errors that every driver returns for the same thing.
var (
	// ErrNotRunning: no VMM runs in this directory.
	ErrNotRunning = errors.New("no VMM is running here")
	// ErrRunning: one already does.
	ErrRunning = errors.New("a VMM is already running here")
	// ErrUnsupported: this VMM or version cannot do that.
	ErrUnsupported = errors.New("not supported by this VMM")
)

// Info describes a VMM as installed on this host.
type Info struct {
	Name    string           `json:"name"`
	Version string           `json:"version"`
	Path    string           `json:"path"`
	Accels  map[Accel]string `json:"accels"` // "" works, else the reason why not, or NotTried
	// Isolation is that of a machine with this accelerator, as far as this
	// host lets it be.
	Isolation map[Accel]Isolation `json:"isolation"`
	// Networks are the backends that a machine can be attached to.
	Networks []network.Backend `json:"networks"`
	// Formats are those that it reads drives in, besides disk.FormatRaw.
	Formats []disk.Format `json:"formats,omitempty"`
	// GuestDrivers are what a guest's kernel must have to be reached, as
	// /proc/modules shows them, and PVH.
	GuestDrivers []string `json:"guest_drivers"`
	// Lacks says why it cannot be attached to one that it could be elsewhere,
	// as half a sentence.
	Lacks map[network.Backend]string `json:"lacks,omitempty"`
}

// PVH is the entry of a kernel by which a VMM starts a vmlinux, where it needs
// one.
const PVH = "pvh"

// NotTried is the reason of an Info that does not know yet.
const NotTried = "KVM is there, but has not been tried: there is no guest kernel yet"

// Driver runs machines of one VMM.
type Driver interface {
	Name() string
	// Info looks at the host; it may boot a tiny guest once and cache the verdict.
	Info(ctx context.Context) (Info, error)
	// Prepare finds out all that would make Start fail and can be known
	// without starting: files, sizes, features, access rights.
	Prepare(ctx context.Context, spec Spec) error
	// Start spawns the VMM and returns with its vCPUs running. Console output
	// from the first byte is delivered to the first Console reader. A failed
	// Start leaves no process and no socket.
	Start(ctx context.Context, spec Spec) (Machine, error)
	// Connect takes a running VMM over, whoever started it; ErrNotRunning if
	// none lives in spec.Dir (left-over files are no VMM).
	Connect(ctx context.Context, spec Spec) (Machine, error)
}

// PostMortem is what a driver may be able to do besides: say how a VMM ended
// while nobody watched, for whom Connect told ErrNotRunning.
type PostMortem interface {
	// LastExit describes the end of the last VMM in spec.Dir; ErrRunning while
	// it runs, ErrNotRunning if there is no trace of one.
	LastExit(ctx context.Context, spec Spec) (Exit, error)
}

// Settle puts the process of a VMM, which has made nothing of its guest yet,
// where it is to stay: what the kernel makes for a guest stays where its VMM
// was then. nil leaves it where it is. A driver takes it in its Config.
type Settle func(ctx context.Context, pid int) error

// Do settles a process. One that stays where it was runs all the same.
func (s Settle) Do(ctx context.Context, log *slog.Logger, pid int) {
	if s == nil {
		return
	}
	if err := s(ctx, pid); err != nil {
		log.WarnContext(ctx, "the VMM stays where it was started", "err", err)
	}
}

// Stager is a driver that has something to do for spec before the process that
// will start or restart it gives up its rights over the host's files.
type Stager interface {
	// Stage may be called again. programs are what that process must still be
	// allowed to run.
	Stage(ctx context.Context, spec Spec) (programs []string, err error)
}

// Pauser is a machine that can be stopped and set going again by its user;
// both come back as events. Resume is every machine's.
type Pauser interface {
	// Pause stops the vCPUs, with the reason PauseAsked.
	Pause(ctx context.Context) error
}

// Resizer is a machine whose guest can be told that a drive became larger.
type Resizer interface {
	// Resize tells it that the drive's file, which has sizeBytes already, grew to
	// that. The guest learns of it a moment later. Again with the same size it
	// changes nothing.
	Resize(ctx context.Context, slot disk.Slot, sizeBytes int64) error
}

// Plugged is a machine whose card hands its frames over
// (network.BackendFrames). Until somebody takes them they are lost.
type Plugged interface {
	// Link opens the wire at the card. One at a time; a second call ends the
	// first. The guest does not notice that a link ends, nor that the next one
	// begins. The caller closes it.
	Link(ctx context.Context) (network.Link, error)
}

// Meter is a machine that counts what it does.
type Meter interface {
	Stats(ctx context.Context) (Stats, error)
}

// Stats count from the machine's start.
type Stats struct {
	CPU      time.Duration            `json:"cpu_ns"`   // of the VMM's process, vCPUs included
	Resident int64                    `json:"resident"` // bytes of the VMM's process in memory
	Drives   map[disk.Slot]DriveStats `json:"drives,omitempty"`
}

// DriveStats count what a guest did to a drive.
type DriveStats struct {
	Reads, Writes           int64
	ReadBytes, WrittenBytes int64
}

// Machine is a running VMM.
type Machine interface {
	Facts() Facts
	// Agent opens the raw byte channel to the guest's agent. One at a time;
	// a second call ends the first. The caller closes it.
	Agent(ctx context.Context) (io.ReadWriteCloser, error)
	// Console opens the guest's serial console. One at a time.
	Console(ctx context.Context) (io.ReadWriteCloser, error)
	// Events delivers what the VMM reports; it is closed when the VMM has
	// ended or Close was called. A slow reader loses old events, never the VMM.
	Events() <-chan Event
	// Resume goes on after EventPaused.
	Resume(ctx context.Context) error
	// Kill ends the VMM at once and waits until it is gone.
	Kill(ctx context.Context) error
	// Wait returns when the VMM is gone; it works for a VMM that is no child.
	Wait(ctx context.Context) (Exit, error)
	// Close lets go of the VMM, which lives on.
	Close() error
}

// Facts are the facts of a running VMM.
type Facts struct {
	PID int `json:"pid"`
	// Process is the same for ever, for whoever is to end it without us; zero
	// where that would not be its end.
	Process hostexec.ID `json:"process,omitzero"`

	Version string    `json:"version"`
	Accel   Accel     `json:"accel"`
	Started time.Time `json:"started"`
	// Paused is set where the VMM was found paused.
	Paused bool `json:"paused,omitempty"`
	// Isolation is what keeps the VMM from the rest of the host, besides the
	// processor; Reduced says in sentences what of it is missing here.
	Isolation Isolation `json:"isolation,omitempty"`
	Reduced   []string  `json:"reduced,omitempty"`
	// Lingers: the VMM cannot see its guest power off, so whoever knows of it
	// need not wait for it to end.
	Lingers bool `json:"lingers,omitempty"`
}

// EventType is a kind of VMM event.
type EventType string

// The events of a VMM.
const (
	EventPaused   EventType = "paused" // Reason says why
	EventResumed  EventType = "resumed"
	EventPoweroff EventType = "poweroff" // the guest powered off
	EventReset    EventType = "reset"    // the guest asked for a reset (reboot, panic, triple fault)
)

// The reasons of an EventPaused.
const (
	// PauseNoSpace: the host's disk is full, or about to be. Nothing that the
	// guest wrote is lost; whoever owns the machine resumes it when there is room.
	PauseNoSpace = "no_space"
	PauseIOError = "io_error" // a drive's file failed
	PauseAsked   = "asked"    // somebody asked for it
)

// Event is something a VMM reports.
type Event struct {
	Type   EventType
	Reason string
}

// Exit is how a VMM ended.
type Exit struct {
	// Reason is poweroff or reset when the guest ended it, fault when its
	// processor did, killed when we did, or crashed.
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"` // a sentence: exit code, signal, last words on stderr
	At     time.Time `json:"at"`
}

// The reasons of an Exit.
const (
	ExitPoweroff = "poweroff"
	ExitReset    = "reset"
	ExitFault    = "fault" // a triple fault; a VMM that cannot tell says reset
	ExitKilled   = "killed"
	ExitCrashed  = "crashed"
)

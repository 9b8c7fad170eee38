// Package agent is the guest's end of the agent channel: it answers the host
// before the image's init runs, sets the identity, runs commands, tells how
// far the system is, and shuts it down.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/clock"
	"github.com/banger-vm/banger/internal/guestd/notify"
	"github.com/banger-vm/banger/internal/guestd/power"
)

// Name is the agent's argv[0]; systemd's last kill spares an @.
const Name = "@banger-agent"

// BootEnv is the variable with Boot as JSON in the agent's environment.
const BootEnv = "BANGER_BOOT"

// Boot is what /init leaves to the agent.
type Boot struct {
	InitMS float64    `json:"init_ms"`
	User   string     `json:"user"`
	Home   string     `json:"home"` // where the work disk is mounted; "": nowhere
	Init   power.Init `json:"init"` // what runs next
	Notes  []string   `json:"notes"`
}

// Config is what an agent needs to know.
type Config struct {
	Version string
	Boot    Boot
	// Identified is called once, when the identity has been set first.
	Identified func() error
	// Ask asks the image's init for a shutdown.
	Ask func(wire.Halt) error
	// Apply sets an identity and returns what of it the image did not take.
	Apply func(wire.Identity) (notes []string, err error)
	// Auth gives the login user what is the user's own. It is not called twice at
	// once.
	Auth func(user string, a wire.Auth) wire.AuthReport
	// Exec makes what serves wire.PathExec; user is the login user's name.
	Exec func(user func() string) Executor
	// Dial serves wire.PathDial.
	Dial http.Handler
	// Files makes what serves wire.PathFilesPut and wire.PathFilesGet.
	Files func(user func() string) (put, get http.Handler)
	// Listeners serves wire.PathListeners and wire.PathListenersWatch.
	Listeners http.Handler
	// Ready is called when the image's init has finished starting, with the
	// login user's name. It may take its time.
	Ready func(user string)
	// Grow makes the file system that is mounted on home as large as the work
	// disk, once that has at least so many bytes, and returns its size.
	Grow func(ctx context.Context, home string, sizeBytes int64) (int64, error)
	// Session takes over the login session of a process.
	Session func(pid int) error
}

// Executor runs commands.
type Executor interface {
	http.Handler
	Running() int
}

// Agent serves one guest.
type Agent struct {
	log       *slog.Logger
	cfg       Config
	state     *state
	exec      Executor
	put, get  http.Handler  // files
	identity  chan struct{} // held by who sets the identity, or Auth
	shutdowns chan wire.Halt
}

// New makes an agent of this machine.
func New(log *slog.Logger, cfg Config) (*Agent, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("asking for the kernel's release: %w", err)
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("asking for the boot ID: %w", err)
	}
	a := &Agent{
		log: log, cfg: cfg,
		state: newState(wire.Hello{
			Protocol: wire.Protocol, Version: cfg.Version,
			BootID: strings.TrimSpace(string(bootID)), Kernel: unix.ByteSliceToString(u.Release[:]),
			Phase: wire.PhaseIdentity, User: cfg.Boot.User,
			InitMS: cfg.Boot.InitMS, AgentMS: clock.BootMS(), Notes: cfg.Boot.Notes,
		}),
		identity:  make(chan struct{}, 1),
		shutdowns: make(chan wire.Halt),
	}
	user := func() string {
		h, _, _ := a.state.get()
		return h.User
	}
	a.exec = cfg.Exec(user)
	a.put, a.get = cfg.Files(user)
	return a, nil
}

// Run serves until ctx ends or the channel to the host is lost for good.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	words, err := notify.Listen()
	if err != nil {
		return fmt.Errorf("opening the agent's socket: %w", err)
	}
	serve, err := a.openChannel()
	if err != nil {
		return err
	}
	ends := make(chan error, 3)
	go func() { ends <- serve(ctx) }()
	go func() { ends <- notify.Serve(ctx, words, a.told) }()
	go func() { ends <- a.shutDown(ctx) }()
	return <-ends
}

// told takes over what another role of banger-guest knows of the system.
func (a *Agent) told(ctx context.Context, word string) error {
	if halt, ok := notify.ParseHalted(word); ok {
		a.halted(halt)
		return a.state.delivered(ctx)
	}
	if halt, ok := notify.ParseAsked(word); ok {
		select {
		case a.shutdowns <- halt:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if text, ok := notify.ParseNote(word); ok {
		a.state.note(text)
		return nil
	}
	if pid, ok := notify.ParseSession(word); ok {
		return a.cfg.Session(pid)
	}
	switch word {
	case notify.Ready:
		first, user := false, ""
		a.state.update(func(h *wire.Hello) {
			if h.Phase == wire.PhaseReady || h.Phase == wire.PhaseIdentity {
				h.Phase, h.SystemMS = wire.PhaseSystem, clock.BootMS()
				first, user = true, h.User
			}
		})
		if first {
			go a.cfg.Ready(user)
		}
	case notify.Stopping:
		a.stopping()
	default:
		return errors.New("unknown word")
	}
	return nil
}

func (a *Agent) stopping() {
	if h, _, _ := a.state.get(); h.Phase == wire.PhaseStopping {
		return
	}
	a.state.update(func(h *wire.Hello) {
		if h.Phase != wire.PhaseHalted {
			h.Phase = wire.PhaseStopping
		}
	})
}

func (a *Agent) halted(action wire.Halt) {
	a.state.update(func(h *wire.Hello) { h.Phase, h.Halt = wire.PhaseHalted, action })
}

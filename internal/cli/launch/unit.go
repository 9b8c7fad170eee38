package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/places"
)

// Unit is the unit of systemd that may own the daemon's socket.
const Unit = "banger.service"

// startUnit starts the daemon's unit, if it is for the unit to start it: one
// that is enabled, or runs, and serves on p's socket. done is false otherwise.
func (m manager) startUnit(ctx context.Context, p places.Places, env places.Env) (done bool, err error) {
	if _, err := os.Stat(m.socket); err != nil || !usual(p, env) {
		return false, nil
	}
	said, err := m.systemctl(ctx, "show", "--property=ActiveState,UnitFileState", Unit)
	if err != nil || !owns(said) {
		return false, nil // without an answer it is as if there were no systemd
	}
	if _, err := m.systemctl(ctx, "start", Unit); err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("waiting for the daemon to start: %w", ctx.Err())
		}
		return false, api.NewError(api.KindUnavailable, "the daemon's unit "+Unit+" did not start: "+err.Error(),
			"See: "+m.command("status", Unit)+", or start without it: "+m.command("disable", "--now", Unit))
	}
	if !client.Answers(ctx, p.Socket) { // its own settings lead elsewhere
		return false, api.NewError(api.KindUnavailable, "the daemon's unit "+Unit+" runs, but does not serve on "+p.Socket,
			"Say where it does with BANGER_SOCKET, or see: "+m.command("show", "--property=Environment", Unit))
	}
	return true, nil
}

// owns reads from systemctl show whether a unit is there to be started.
func owns(said string) bool {
	for line := range strings.Lines(said) {
		switch strings.TrimSpace(line) {
		case "UnitFileState=enabled", "UnitFileState=enabled-runtime",
			"ActiveState=active", "ActiveState=activating", "ActiveState=reloading", "ActiveState=deactivating":
			return true
		}
	}
	return false
}

// usual reports whether p is where a daemon serves to which nobody says more:
// a unit does not see what this command was told.
func usual(p places.Places, env places.Env) bool {
	xdg := places.Env{UID: env.UID, Getenv: func(name string) string {
		if strings.HasPrefix(name, "BANGER_") {
			return ""
		}
		return env.Getenv(name)
	}}
	def, err := places.Resolve(places.Flags{}, xdg)
	return err == nil && def.Socket == p.Socket && def.StateDir == p.StateDir
}

// manager is a systemd manager as systemctl reaches it.
type manager struct {
	socket string
	flags  []string
}

// managerOf is the user's own, the system's for root.
func managerOf(env places.Env) manager {
	if env.UID == 0 {
		return manager{socket: "/run/systemd/private"}
	}
	return manager{socket: filepath.Join(env.Getenv("XDG_RUNTIME_DIR"), "systemd/private"), flags: []string{"--user"}}
}

// command is a command line for people.
func (m manager) command(args ...string) string {
	return strings.Join(append(append([]string{"systemctl"}, m.flags...), args...), " ")
}

// systemctl runs systemctl; an error is what it said last.
func (m manager) systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", append(append([]string{}, m.flags...), args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		line, _, _ := strings.Cut(said, "\n")
		err = errors.New(strings.TrimSuffix(line, "."))
	}
	return string(out), err
}

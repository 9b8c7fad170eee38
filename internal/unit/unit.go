// Package unit keeps processes in transient units of systemd: services, which
// systemd starts, and scopes around processes that are there already. It asks
// the user's own manager, the system's for root, and does so on the manager's
// own socket, as systemctl does: no message bus is needed.
//
// Where no manager answers, everything here returns ErrNone.
package unit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// ErrNone says that no systemd manager runs for this user.
var ErrNone = errors.New("there is no systemd manager for this user")

// patience bounds one request to a manager. One on a very busy host takes
// seconds.
const patience = 10 * time.Second

// Config says whose manager is meant.
type Config struct {
	UID        int
	RuntimeDir string // $XDG_RUNTIME_DIR; "" is systemd's own choice for UID
	Run        string // "" is /run
}

// SystemConfig is the Config of this process.
func SystemConfig() Config {
	return Config{UID: os.Geteuid(), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")}
}

// Manager is a systemd manager. It holds no connection, so it may come and go.
type Manager struct {
	cfg    Config
	socket string
}

// New names a manager; whether it runs, each call finds out.
func New(cfg Config) *Manager {
	if cfg.Run == "" {
		cfg.Run = "/run"
	}
	dir := cfg.RuntimeDir
	switch {
	case cfg.UID == 0:
		dir = cfg.Run
	case !filepath.IsAbs(dir):
		dir = filepath.Join(cfg.Run, "user", strconv.Itoa(cfg.UID))
	}
	return &Manager{cfg: cfg, socket: filepath.Join(dir, "systemd/private")}
}

// User reports whether this is a user's manager, which ends with the user's
// last session unless the user lingers.
func (m *Manager) User() bool { return m.cfg.UID != 0 }

// Present reports whether a manager seems to run: whether there is its socket.
func (m *Manager) Present() bool {
	_, err := os.Stat(m.socket)
	return err == nil
}

// Version is the version of the systemd that answers.
func (m *Manager) Version(ctx context.Context) (version string, err error) {
	err = m.with(ctx, func(ctx context.Context, c *conn) error {
		return c.property(ctx, managerPath, managerInterface, "Version", &version)
	})
	return version, err
}

// Lingers reports whether the user's manager goes on without a session.
func (m *Manager) Lingers(ctx context.Context) (lingers bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := dialBus(ctx, filepath.Join(m.cfg.Run, "dbus/system_bus_socket"))
	if err != nil {
		return false, fmt.Errorf("asking logind whether this user lingers: %w", err)
	}
	defer c.Close()
	lingers, err = c.lingers(ctx, m.cfg.UID)
	if err != nil {
		return false, fmt.Errorf("asking logind whether this user lingers: %w", err)
	}
	return lingers, nil
}

// with makes a connection for do.
func (m *Manager) with(ctx context.Context, do func(ctx context.Context, c *conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := dial(ctx, m.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}

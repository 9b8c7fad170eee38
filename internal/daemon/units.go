package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/unit"
)

// lingerFresh is how long an answer of logind is good for: a list asks for
// every VM in it.
const lingerFresh = 2 * time.Second

// lingerPatience is how long a list waits for logind.
const lingerPatience = time.Second

// Whose units hold monitors and VMMs, as api.DaemonStatus has it.
const (
	unitsUser   = "user"
	unitsSystem = "system"
)

// units is the service manager as the daemon tells of it.
type units struct {
	*unit.Manager
	log *slog.Logger

	mu      sync.Mutex // guards the following
	asked   time.Time
	lingers bool
}

func newUnits(log *slog.Logger) *units {
	return &units{Manager: unit.New(unit.SystemConfig()), log: log}
}

// Reduced implements vm.Units.
func (u *units) Reduced() []string {
	if !u.User() || u.linger() {
		return nil
	}
	return []string{"VMs end when you log out; to have them go on: loginctl enable-linger"}
}

// linger asks logind, and again when its answer is old. What logind does not
// say is not held against anybody.
func (u *units) linger() bool {
	u.mu.Lock()
	fresh, lingers := time.Since(u.asked) < lingerFresh, u.lingers
	u.mu.Unlock()
	if fresh {
		return lingers
	}
	ctx, cancel := context.WithTimeout(context.Background(), lingerPatience)
	defer cancel()
	lingers, err := u.Lingers(ctx)
	if err != nil {
		u.log.Debug("whether this user lingers is not known", "err", err)
		lingers = true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked, u.lingers = time.Now(), lingers
	return lingers
}

// describe fills in what the daemon's status says of units.
func (u *units) describe(ctx context.Context, s *api.DaemonStatus) error {
	var err error
	if s.Unit, err = u.Of(os.Getpid()); err != nil {
		return err
	}
	_, err = u.Version(ctx)
	switch {
	case errors.Is(err, unit.ErrNone):
		return nil
	case err != nil:
		s.Reduced = append(s.Reduced, "systemd does not answer, so monitors and VMMs get no units of their own: "+err.Error()+".")
		return nil
	case u.User():
		s.Units = unitsUser
	default:
		s.Units = unitsSystem
	}
	s.Reduced = append(s.Reduced, u.Reduced()...)
	return nil
}

package monitor

import (
	"context"
	"errors"
	"io/fs"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
)

// auth reads what of its user's own the guest is to have now; nil: nothing was
// ever said.
func (m *Monitor) auth() (*wire.Auth, error) {
	var a wire.Auth
	err := control.ReadFile(m.launch.Spec.Dir, machine.AuthFile, &a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &a, err
}

// handleAuth gives it to a guest that is up, or as soon as it is.
func (m *Monitor) handleAuth(ctx context.Context, _ api.Empty) (wire.AuthReport, error) {
	if s, _ := m.board.get(); s.Phase == machine.PhasePaused {
		return wire.AuthReport{}, m.guestUp()
	}
	if err := m.awaitGuest(ctx); err != nil {
		return wire.AuthReport{}, err
	}
	a, err := m.auth()
	if err != nil || a == nil {
		return wire.AuthReport{}, err
	}
	h, err := m.agent.SetAuth(ctx, *a)
	if err != nil || h.Auth == nil {
		return wire.AuthReport{}, err
	}
	m.board.update(func(s *machine.Status) { s.Guest.Auth = h.Auth })
	return *h.Auth, nil
}

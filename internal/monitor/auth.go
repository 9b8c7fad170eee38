package monitor

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
)

// auth reads what of its user's own the guest is to have now; nil: nothing was
// ever said.
func (m *Monitor) auth() (*wire.Auth, error) {
	var a wire.Auth
	err := jsonfile.Read(m.launch.Spec.Dir, machine.AuthFile, &a)
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
	return m.giveAuth(ctx)
}

// giveAuth has the guest take what the file says now; one after the other, so
// that the last one counts.
func (m *Monitor) giveAuth(ctx context.Context) (wire.AuthReport, error) {
	select {
	case m.giving <- struct{}{}:
		defer func() { <-m.giving }()
	case <-ctx.Done():
		return wire.AuthReport{}, context.Cause(ctx)
	}
	a, err := m.auth()
	if err != nil || a == nil {
		return wire.AuthReport{}, err
	}
	h, err := m.agent.SetAuth(ctx, *a)
	if err != nil {
		return wire.AuthReport{}, err
	}
	if h.Auth == nil || h.Auth.ID != a.ID {
		return wire.AuthReport{}, fault.New(fault.Unavailable, "Try again, or stop and start the VM.", "the guest answered, and did not say that it took what it was given")
	}
	m.board.update(func(s *machine.Status) { s.Guest.Auth = h.Auth })
	return *h.Auth, nil
}

// What is given unasked is so at most once in authPace, and may take authPatience.
const (
	authPace     = time.Second
	authPatience = 30 * time.Second
)

// keepAuth gives it to a guest that was told of a change and did not hear, being
// paused or slow: as soon as it goes on, or says what it has.
func (m *Monitor) keepAuth(ctx context.Context) {
	type seen struct {
		up bool
		id string
	}
	var last seen
	for {
		s, err := m.board.wait(ctx, func(s machine.Status) bool {
			now := seen{up: s.ReadyMS > 0 && s.Phase == machine.PhaseRunning}
			if now.up && s.Guest.Auth != nil {
				now.id = s.Guest.Auth.ID
			}
			changed := now != last
			last = now
			return changed && now.up
		})
		if err != nil {
			return
		}
		if a, err := m.auth(); err != nil || a == nil || s.Guest.Auth != nil && s.Guest.Auth.ID == a.ID {
			continue // what cannot be read is told where it is asked for
		}
		bounded, cancel := context.WithTimeout(ctx, authPatience)
		if _, err := m.giveAuth(bounded); err != nil && ctx.Err() == nil {
			m.log.Warn("the guest does not have yet what its user is to have", "err", err)
			if bounded.Err() != nil { // it hangs, or was paused meanwhile
				last = seen{}
			}
		}
		cancel()
		if rest(ctx, authPace) != nil {
			return
		}
	}
}

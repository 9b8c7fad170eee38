package firecracker

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
)

// Pause stops the vCPUs, where this version's guests survive that.
func (m *machine) Pause(ctx context.Context) error { return m.pause(ctx, vmm.PauseAsked) }

func (m *machine) pause(ctx context.Context, reason string) error {
	m.mu.Lock()
	version := m.version
	m.mu.Unlock()
	if q, ok := findQuirk(version, quirkBarePause); ok {
		return fmt.Errorf("this Firecracker, %s, cannot just be paused: %s: %w", version, q.effect, vmm.ErrUnsupported)
	}
	return m.setPaused(ctx, true, reason)
}

// Resume lets the guest go on.
func (m *machine) Resume(ctx context.Context) error { return m.setPaused(ctx, false, "") }

func (m *machine) setPaused(ctx context.Context, paused bool, reason string) error {
	select { // one after the other, or the reason told would be another's
	case m.pausing <- struct{}{}:
		defer func() { <-m.pausing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.gone() {
		return fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	}
	m.mu.Lock()
	was := m.paused
	m.mu.Unlock()
	if was && paused {
		return nil
	}
	set, event := m.api.Resume, vmm.Event{Type: vmm.EventResumed}
	if paused {
		set, event = m.api.Pause, vmm.Event{Type: vmm.EventPaused, Reason: reason}
		m.note(func(r *record) { r.Paused = reason }) // before, so that who finds it paused knows why
	}
	if err := set(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	m.paused = paused
	m.mu.Unlock()
	if was != paused {
		m.emit(event)
	}
	return nil
}

// whyPaused is why a guest that was found paused is.
func (m *machine) whyPaused() string {
	m.mu.Lock()
	reason := m.rec.Paused
	m.mu.Unlock()
	if reason != "" {
		return reason
	}
	if free, err := m.room(); err == nil && free < spaceReserve { // nor was there room for the record
		return vmm.PauseNoSpace
	}
	return vmm.PauseAsked
}

// API is the client of a running machine's VMM, for what is no machine's of
// every VMM; nil for another driver's.
func API(m vmm.Machine) *fcapi.Client {
	if fc, ok := m.(*machine); ok {
		return fc.api
	}
	return nil
}

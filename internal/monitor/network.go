package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// newsPause is how often what a network refused is told at most, as it is the
// guest who makes it news.
const newsPause = time.Second

// keepNetwork carries the frames of the guest's card until ctx ends. A guest
// without its network runs on.
func (m *Monitor) keepNetwork(ctx context.Context, mach vmm.Machine) {
	card := m.launch.Spec.Network
	if card.Backend != network.BackendFrames {
		return
	}
	carrier, err := m.newCarrier(card)
	plugged, ok := mach.(vmm.Plugged)
	if err == nil && !ok {
		err = fmt.Errorf("the VMM hands over no frames: %w", vmm.ErrUnsupported)
	}
	if err != nil {
		m.log.Error("the guest has no network", "err", err)
		m.board.update(func(s *machine.Status) {
			s.Reduced = append(s.Reduced, "It has no network: "+err.Error()+".")
		})
		return
	}
	defer carrier.Close()
	go m.keepReport(ctx, carrier)
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		begin := time.Now()
		link, err := plugged.Link(ctx)
		if err == nil {
			err = carrier.Carry(ctx, m.traffic.Link(link))
		}
		if ctx.Err() != nil {
			return
		}
		m.log.Warn("the link to the guest's card ended, trying again", "err", err)
		if time.Since(begin) > lastRetry {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (m *Monitor) newCarrier(card network.Attachment) (network.Carrier, error) {
	carry, ok := m.networks[card.Driver]
	if !ok {
		return nil, fmt.Errorf("there is no network %q in this build", card.Driver)
	}
	return carry(m.log, card)
}

// keepReport tells what the network refuses.
func (m *Monitor) keepReport(ctx context.Context, carrier network.Carrier) {
	for {
		report, changed := carrier.Report()
		if len(report.Refused) > 0 {
			m.board.update(func(s *machine.Status) { s.Network = &report })
			select {
			case <-time.After(newsPause):
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

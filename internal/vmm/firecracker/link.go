package firecracker

import (
	"context"
	"errors"
	"fmt"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
)

// takeWire takes the wire at the network card: as it was passed at a start, or
// from the VMM, which holds it.
func (m *machine) takeWire(ctx context.Context, files *inherited) error {
	if !hasCard(m.spec) || m.rec.Isolation != vmm.IsolationNamespaces {
		return nil
	}
	if files == nil {
		f, err := wire.Of(m.proc.Pass(), fdWire)
		if err != nil { // the guest runs on without its network
			m.log.Error("the guest's network cannot be taken over", "name", m.spec.Name, "err", err)
			return nil
		}
		m.wire = f
		return nil
	}
	_ = files.wire.Close() // the stage's end must be the last one
	files.wire = nil
	f, err := wire.Receive(ctx, files.wireEnd)
	m.wire = f
	return err
}

// Link opens the wire at the guest's card; the one that we had before gives
// way.
func (m *machine) Link(context.Context) (network.Link, error) {
	m.mu.Lock()
	w := m.wire
	m.mu.Unlock()
	switch {
	case m.gone():
		return nil, fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	case w == nil:
		return nil, errors.New("there is no wire to the guest's card")
	}
	l, err := wire.NewLink(w)
	if err != nil {
		return nil, err
	}
	m.swapLink(l)
	return l, nil
}

func (m *machine) swapLink(l network.Link) {
	m.mu.Lock()
	old := m.link
	m.link = l
	m.mu.Unlock()
	if old != nil {
		_ = old.Close() // its user may have closed it already
	}
}

// dropWire lets go of the wire; the VMM's copy stays.
func (m *machine) dropWire() {
	m.swapLink(nil)
	m.mu.Lock()
	w := m.wire
	m.wire = nil
	m.mu.Unlock()
	if w != nil {
		_ = w.Close() // nothing was written through it
	}
}

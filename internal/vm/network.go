package vm

import (
	"context"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vm/spec"
)

func (m *Manager) networkDriver(name string) (network.Driver, error) {
	if d, ok := m.Networks[name]; ok {
		return d, nil
	}
	return nil, fault.New(fault.Invalid, "Use user or none.", "there is no network %q", name)
}

// checkNetwork refuses what no network has, and brings the exceptions into
// their one form.
func (m *Manager) checkNetwork(s *spec.VM) error {
	driver, err := m.networkDriver(s.Network)
	if err != nil {
		return err
	}
	allow, err := network.ParseExceptions(s.AllowHosts)
	if err != nil {
		return err
	}
	if len(allow) > 0 && len(driver.Exposure(nil)) == 0 {
		return fault.New(fault.Invalid, "Use --network user.", "on the network %q there is nothing to be allowed", s.Network)
	}
	s.AllowHosts = nil
	for _, e := range allow {
		s.AllowHosts = append(s.AllowHosts, e.String())
	}
	return nil
}

// attach plugs the VM in; for a running VM it changes nothing.
func (m *Manager) attach(ctx context.Context, id string) (network.Attachment, error) {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil {
		return network.Attachment{}, err
	}
	driver, err := m.networkDriver(r.shape().Network)
	if err != nil {
		return network.Attachment{}, err
	}
	req, err := m.networkRequest(r)
	if err != nil {
		return network.Attachment{}, err
	}
	return driver.Apply(ctx, req)
}

// detach unplugs the VM unless it runs, from the network that its last boot had
// too where it is to have another.
func (m *Manager) detach(ctx context.Context, id string) error {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil {
		return fault.Except(err, fault.NotFound)
	}
	if m.liveStatus(id) != nil {
		return nil
	}
	networks := []string{r.Spec.Network}
	if r.Boot != nil && r.Boot.Shape != nil && r.Boot.Shape.Network != r.Spec.Network {
		networks = append(networks, r.Boot.Shape.Network)
	}
	req, err := m.networkRequest(r)
	if err != nil {
		return err
	}
	for _, name := range networks {
		driver, err := m.networkDriver(name)
		if err != nil {
			return err
		}
		if err := driver.Release(ctx, req); err != nil {
			return err
		}
	}
	return nil
}

// networkRequest is what a VM asks of its network.
func (m *Manager) networkRequest(r Record) (network.Request, error) {
	allow, err := network.ParseExceptions(r.shape().AllowHosts)
	return network.Request{VMID: r.ID, Dir: m.dir(r.ID), Allow: allow}, err
}

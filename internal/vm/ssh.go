package vm

import (
	"context"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/vm/access"
	"github.com/banger-vm/banger/internal/vm/sshkey"
)

// SSH is how OpenSSH reaches VMs.
type SSH struct {
	Config string // path of a configuration with a block for each VM
	Zone   string // what the VMs' names end in there
	Host   string // of the VM that was asked for
}

// SSH brings the files up to date and says where they are; an empty ref asks
// for no VM.
func (m *Manager) SSH(ctx context.Context, ref string) (SSH, error) {
	out := SSH{Config: m.Access.Config(), Zone: m.Access.Zone()}
	if ref != "" {
		r, err := m.Store.VM(ctx, ref)
		if err != nil {
			return SSH{}, err
		}
		out.Host = m.Access.Host(r.Spec.Name)
	}
	return out, m.Access.Write(ctx, m.reachable)
}

// tellSSH brings the files up to date. A VM is what it is without them, and the
// next call of SSH tells what is wrong.
func (m *Manager) tellSSH(ctx context.Context) {
	if err := m.Access.Write(ctx, m.reachable); err != nil {
		m.Log.Warn("SSH's files are not up to date", "err", err)
	}
}

// reachable lists the VMs that SSH may ask for.
func (m *Manager) reachable(ctx context.Context) ([]access.VM, error) {
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return nil, err
	}
	vms := make([]access.VM, 0, len(records))
	for _, r := range records {
		if !r.Made {
			continue
		}
		private, err := os.ReadFile(filepath.Join(m.dir(r.ID), sshkey.Host))
		if err != nil { // it is being removed, or was never started by a banger that knew of keys
			m.Log.Debug("a VM has no SSH host key", "name", r.Spec.Name, "err", err)
			continue
		}
		public, err := sshkey.Public(private)
		if err != nil {
			return nil, err
		}
		vms = append(vms, access.VM{ID: r.ID, Name: r.Spec.Name, User: r.User, HostKey: public})
	}
	return vms, nil
}

package vm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// What follows is for the rooms below this package, which have verbs and
// features of their own.

// Begin begins an operation of another room on the VM that a user names: what
// returns its parameters, or refuses. A VM that is not whole is refused.
func (m *Manager) Begin(ctx context.Context, ref, kind, key string, what func(Record) (params any, err error)) (operation.Record, error) {
	return m.begin(ctx, ref, kind, key, func(r Record) (operation.Request, error) {
		if err := whole(r); err != nil {
			return operation.Request{}, err
		}
		params, err := what(r)
		return request(kind, r, params), err
	})
}

// NewBootID makes the ID of a boot, before the operation begins that starts it.
func NewBootID() string { return newID(8) }

// StartSteps are those of Boot.
func (m *Manager) StartSteps(id, bootID string) []operation.Step {
	return m.startSteps(startParams{ID: id, BootID: bootID})
}

// StopSteps are those of Stop.
func (m *Manager) StopSteps(id string, timeout time.Duration) []operation.Step {
	if timeout <= 0 {
		timeout = m.cfg.StopTimeout
	}
	return m.stopSteps(endParams{ID: id, Timeout: timeout})
}

// Publish tells what happened to a VM.
func (m *Manager) Publish(id, kind, message string) { m.publish(id, kind, message) }

// WorkDiskBytes is how large a VM's work disk is, which may be larger by its
// next start.
func (m *Manager) WorkDiskBytes(id string) (int64, error) {
	info, err := os.Lstat(filepath.Join(m.dir(id), workDisk))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Fit refuses what the VM r cannot be made into, and brings the rest of s into
// its one form.
func (m *Manager) Fit(ctx context.Context, r Record, s *spec.VM) error {
	if err := s.Check(); err != nil {
		return err
	}
	if slices.Equal(s.AllowHosts, r.Spec.AllowHosts) && s.Network == r.Spec.Network {
		return nil
	}
	if err := m.checkNetwork(s); err != nil {
		return err
	}
	if s.Network == r.Spec.Network {
		return nil
	}
	k, err := m.Kernels.Get(ctx, r.KernelID)
	if err != nil {
		return err
	}
	if err := m.fitNetwork(s.Network, k); err != nil {
		return err
	}
	return m.VMMs.Check(ctx, want(*s, r.Spec.VMM))
}

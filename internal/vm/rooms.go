package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// What follows is for the rooms above this package, which have verbs and
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

// StartSteps start a VM again that the operation has ended: the room that it had
// is its own.
func (m *Manager) StartSteps(id, bootID string) []operation.Step {
	return m.againSteps(startParams{ID: id, BootID: bootID, Force: true})
}

// Startable refuses a VM whose next start would come to nothing, but for the room
// that it takes.
func (m *Manager) Startable(ctx context.Context, r Record) error {
	r.Boot = nil // its VMM must be there then
	return errors.Join(m.preflight(ctx), m.checkVMM(ctx, r, ""))
}

// StopSteps are those of Stop, but for a VM that is not to stay stopped: its
// restart policy goes on.
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

// GrowDisk gives a VM that runs the work disk that its record asks for, at once:
// its file, its VMM and its guest's file system. One that does not run has it
// from its next start on, and so has one whose VMM or guest cannot (grown is
// false then). A disk never becomes smaller.
func (m *Manager) GrowDisk(ctx context.Context, id string) (grown bool, err error) {
	r, err := m.Store.VMByID(ctx, id)
	if err != nil || m.liveStatus(id) == nil || r.Boot == nil {
		return false, err
	}
	if err := disk.Grow(filepath.Join(m.dir(id), workDisk), r.Spec.DiskBytes); err != nil {
		return false, fmt.Errorf("the work disk of %s: %w", r.Spec.Name, err)
	}
	if has, err := m.WorkDiskBytes(id); err != nil || has != r.Spec.DiskBytes {
		return false, err // it is larger than anybody knows, and stays so
	}
	err = m.Resizer.GrowWork(ctx, m.dir(id), r.Spec.DiskBytes)
	if errors.Is(err, machine.ErrNotRunning) || fault.KindOf(err) == fault.Precondition {
		m.Log.Info("a work disk grows at the VM's next start", "vm", id, "err", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return m.changeBoot(ctx, id, r.Boot.ID, func(b *Boot) bool {
		if b.Shape == nil {
			return false
		}
		b.Shape.DiskBytes = r.Spec.DiskBytes
		return true
	})
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
	return m.VMMs.Check(ctx, m.want(*s, r.Spec.VMM))
}

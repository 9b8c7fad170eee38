package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/ports"
)

// forwards are those of a VM.
type forwards struct {
	All  []forward.Forward `json:"all"`
	Auto bool              `json:"auto"`
}

func (f forwards) equal(g forwards) bool { return f.Auto == g.Auto && slices.Equal(f.All, g.All) }

func (r Record) forwards() forwards { return forwards{r.Spec.Forwards, r.Spec.AutoForwards()} }

// forwardParams are all that a change of forwards needs.
type forwardParams struct {
	ID   string   `json:"id"`
	Was  forwards `json:"was"`
	Want forwards `json:"want"`
}

// Forward begins to add forwards to a VM, and to turn automatic ones on or off
// where auto is given. A running VM has them at once, any other from its start.
func (m *Manager) Forward(ctx context.Context, ref string, more []forward.Forward, auto *bool, key string) (operation.Record, error) {
	return m.changeForwards(ctx, ref, key, func(r Record) (want forwards, err error) {
		want = r.forwards()
		if auto != nil {
			want.Auto = *auto
		}
		want.All, err = forward.Add(want.All, more)
		return want, err
	})
}

// Unforward begins to take forwards of a VM away; forward.Remove says which.
func (m *Manager) Unforward(ctx context.Context, ref string, which []forward.Forward, key string) (operation.Record, error) {
	return m.changeForwards(ctx, ref, key, func(r Record) (want forwards, err error) {
		want = r.forwards()
		want.All, err = forward.Remove(want.All, forwardsOf(m.liveStatus(r.ID)), which)
		return want, err
	})
}

func (m *Manager) changeForwards(ctx context.Context, ref, key string, change func(Record) (forwards, error)) (operation.Record, error) {
	return m.begin(ctx, ref, KindForward, key, func(r Record) (operation.Request, error) {
		want, err := change(r)
		return request(KindForward, r, forwardParams{ID: r.ID, Was: r.forwards(), Want: want}), err
	})
}

func (m *Manager) planForward(op operation.Record) (operation.Plan, error) {
	var p forwardParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return operation.Plan{
		Steps: []operation.Step{
			{
				Name: "record them",
				Do:   func(ctx context.Context, _ operation.Report) error { return m.recordForwards(ctx, p.ID, p.Was, p.Want) },
				Undo: func(ctx context.Context) error { return m.recordForwards(ctx, p.ID, p.Want, p.Was) },
			},
			{
				Name: "open the ports",
				Do: func(ctx context.Context, _ operation.Report) error {
					fresh := slices.DeleteFunc(slices.Clone(p.Want.All), func(f forward.Forward) bool { return slices.Contains(p.Was.All, f) })
					return m.openForwards(ctx, p.ID, p.Want, fresh)
				},
				Undo: func(ctx context.Context) error { return m.openForwards(ctx, p.ID, p.Was, nil) },
			},
		},
		Result: func() any { return map[string]string{"id": p.ID} },
	}, nil
}

// recordForwards makes what a VM has into what it is to have, unless somebody
// else has changed it.
func (m *Manager) recordForwards(ctx context.Context, id string, was, want forwards) error {
	var err error
	changeErr := m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		switch has := r.forwards(); {
		case has.equal(want):
			return false
		case !has.equal(was):
			err = fault.New(fault.Busy, "Try again.", "the forwards of %s have just been changed", r.Spec.Name)
			return false
		}
		r.Spec.Forwards, r.Spec.AutoForward = want.All, &want.Auto
		return true
	})
	return errors.Join(err, changeErr)
}

// openForwards makes a running VM have them; fresh are those that it has not had.
func (m *Manager) openForwards(ctx context.Context, id string, want forwards, fresh []forward.Forward) error {
	if m.liveStatus(id) == nil {
		return nil
	}
	if err := m.portsFree(ctx, id, fresh); err != nil {
		return err
	}
	err := m.Ports.Forward(ctx, m.dir(id), want.All, want.Auto)
	if errors.Is(err, machine.ErrNotRunning) {
		return nil // it has just ended
	}
	if err != nil {
		return err
	}
	// Whoever asked wants to see them, and which port was chosen.
	bounded, cancel := context.WithTimeout(ctx, forwardsSeen)
	defer cancel()
	if _, err := m.live.Await(bounded, id, want.seen); err != nil {
		m.Log.Warn("a monitor did not tell of its forwards in time", "vm", id, "err", err)
	}
	return nil
}

// forwardsSeen is how long a monitor may take to tell what it was just told.
const forwardsSeen = 5 * time.Second

// seen reports whether a machine has these forwards and no others.
func (f forwards) seen(s machine.Status) bool {
	asked := slices.DeleteFunc(slices.Clone(s.Forwards), func(st forward.Status) bool { return st.Auto })
	return slices.EqualFunc(asked, f.All, func(st forward.Status, f forward.Forward) bool { return st.Forward == f }) &&
		(f.Auto || len(asked) == len(s.Forwards))
}

// portsFree refuses ports that are in use; the VM's own automatic forwards give
// way.
func (m *Manager) portsFree(ctx context.Context, id string, all []forward.Forward) error {
	own := forwardsOf(m.liveStatus(id))
	all = slices.DeleteFunc(slices.Clone(all), func(f forward.Forward) bool {
		return slices.ContainsFunc(own, func(s forward.Status) bool { return s.Auto && s.Port == f.HostPort })
	})
	if len(all) == 0 {
		return nil
	}
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return err
	}
	var running []ports.Holder
	for _, r := range records {
		running = append(running, ports.Holder{Name: r.Spec.Name, Forwards: forwardsOf(m.liveStatus(r.ID))})
	}
	return ports.Free(ctx, all, running)
}

func forwardsOf(s *machine.Status) []forward.Status {
	if s == nil {
		return nil
	}
	return s.Forwards
}

// Listening says what listens in a running VM.
func (m *Manager) Listening(ctx context.Context, ref string) (machine.Listening, error) {
	v, err := m.Connect(ctx, ref, 0)
	if err != nil {
		return machine.Listening{}, err
	}
	l, err := m.Ports.Listening(ctx, v.Dir)
	l.Forwards = forward.Merge(v.Spec.Forwards, l.Forwards)
	return l, err
}

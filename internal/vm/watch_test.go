package vm_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// hooked is a store whose user can be told of, and put into, the gap between a
// look and a change.
type hooked struct {
	vm.Store
	looked  func(r vm.Record)
	refuse  func(r vm.Record) bool // a change to r
	changed func()
}

func (h hooked) VMByID(ctx context.Context, id string) (vm.Record, error) {
	r, err := h.Store.VMByID(ctx, id)
	if err == nil && h.looked != nil {
		h.looked(r)
	}
	return r, err
}

func (h hooked) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error {
	refused := false
	err := h.Store.ChangeVM(ctx, id, func(r *vm.Record) bool {
		ok := change(r)
		refused = ok && h.refuse != nil && h.refuse(*r)
		return ok && !refused
	})
	if refused {
		err = fault.New(fault.Unavailable, "", "no space left")
	}
	if h.changed != nil {
		h.changed()
	}
	return err
}

// A watcher that comes late does not write its boot over the next one.
func TestLateWatcherChangesNoOtherBoot(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	dir := r.vmDir("dev")
	r.close()
	looked, changed := make(chan struct{}), make(chan struct{})
	var next, end sync.Once
	r.wrap = func(s vm.Store) vm.Store {
		return hooked{Store: s, looked: func(v vm.Record) {
			next.Do(func() {
				err := s.ChangeVM(t.Context(), v.ID, func(r *vm.Record) bool { r.Boot = &vm.Boot{ID: "next"}; return true })
				if err != nil {
					t.Error(err)
				}
				close(looked)
			})
		}, changed: func() {
			select {
			case <-looked:
				end.Do(func() { close(changed) })
			default:
			}
		}}
	}
	r.host.End(dir, machine.ExitPoweroff)
	r.open()
	<-changed
	v, err := r.store.VM(t.Context(), "dev")
	if err != nil || v.Boot.ID != "next" || v.Boot.Exit != nil {
		t.Errorf("%+v (%v)", v.Boot, err)
	}
	r.tells("dev", "running")
}

// flaky makes the next n attempts to store an end fail.
func (r *rig) flaky() (n *atomic.Int32) {
	n = new(atomic.Int32)
	r.close()
	r.wrap = func(s vm.Store) vm.Store {
		return hooked{Store: s, refuse: func(r vm.Record) bool {
			return r.Boot != nil && r.Boot.Exit != nil && n.Add(-1) >= 0
		}}
	}
	r.open()
	return n
}

func TestEndIsStoredOnceItCanBe(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.ok(r.create(spec.VM{Name: "tmp", AutoRemove: true}, true))
	fail := r.flaky()
	fail.Store(2)
	r.host.End(r.vmDir("dev"), machine.ExitPoweroff)
	r.await("the end to be stored", func() bool { s, why := r.state("dev"); return s == vm.Stopped && why != "" })
	fail.Store(2)
	r.host.End(r.vmDir("tmp"), machine.ExitPoweroff)
	r.await("the VM to be gone", func() bool {
		_, err := r.vms.Inspect(t.Context(), "tmp")
		return fault.KindOf(err) == fault.NotFound
	})
}

// The next boot does not take the place of one whose end is not stored yet.
func TestEndIsStoredBeforeTheNextBoot(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	fail := r.flaky()
	fail.Store(1)
	r.host.End(r.vmDir("dev"), machine.ExitPoweroff)
	r.await("the store to have failed", func() bool { return fail.Load() < 1 })
	// Its watcher makes a pause now.
	r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
	r.tells("dev", "running", "stopped", "running")
}

// A machine that runs though the record knows of no boot, or of another one, is
// taken for what it is: by a start, and by the next daemon.
func TestRunsUnknownToItsRecord(t *testing.T) {
	for _, known := range []string{"ended", "another"} {
		t.Run(known, func(t *testing.T) {
			r := newRig(t)
			r.ok(r.create(spec.VM{Name: "dev"}, true))
			r.ok(r.vms.Restart(t.Context(), "dev", 0, false, ""))
			v := r.view("dev")
			runs := v.Boot.ID
			r.close()
			launches := r.host.Launches()
			r.changeRecord(v.ID, func(rec *vm.Record) {
				rec.Boot = &vm.Boot{ID: "of-the-copy"}
				if known == "ended" {
					rec.Boot.Exit = &machine.Exit{BootID: "of-the-copy", Reason: machine.ExitStopped}
				}
			})
			r.open()
			r.ok(r.vms.Boot(t.Context(), "dev", vm.Start{}, ""))
			if v := r.view("dev"); v.State != vm.Running || v.Boot.ID != runs || r.host.Launches() != launches {
				t.Errorf("%s, boot %q, not %q, %d launches", v.State, v.Boot.ID, runs, r.host.Launches()-launches)
			}
			r.ok(r.vms.Stop(t.Context(), "dev", 0, ""))
			if s, why := r.state("dev"); s != vm.Stopped || why != "" {
				t.Errorf("then it is %s: %q", s, why)
			}
		})
	}
}

// changeRecord changes what the store has while no daemon runs.
func (r *rig) changeRecord(id string, change func(*vm.Record)) {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), filepath.Join(r.dir, "banger.db"))
	if err == nil {
		err = db.ChangeVM(r.t.Context(), id, func(rec *vm.Record) bool { change(rec); return true })
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

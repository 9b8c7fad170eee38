package vm_test

import (
	"context"
	"sync"
	"testing"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
)

// hooked is a store whose user can be told of, and put into, the gap between a
// look and a change.
type hooked struct {
	vm.Store
	looked  func(r vm.Record)
	changed func(err error) error
}

func (h hooked) VMByID(ctx context.Context, id string) (vm.Record, error) {
	r, err := h.Store.VMByID(ctx, id)
	if err == nil && h.looked != nil {
		h.looked(r)
	}
	return r, err
}

func (h hooked) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error {
	err := h.Store.ChangeVM(ctx, id, change)
	if h.changed != nil {
		err = h.changed(err)
	}
	return err
}

// A watcher that comes late does not write its boot over the next one.
func TestLateWatcherChangesNoOtherBoot(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(vm.Spec{Name: "dev"}, true))
	dir := r.vmDir("dev")
	r.close()
	looked, changed := make(chan struct{}), make(chan struct{})
	var next, end sync.Once
	r.wrap = func(s vm.Store) vm.Store {
		return hooked{s, func(v vm.Record) {
			next.Do(func() {
				err := s.ChangeVM(t.Context(), v.ID, func(r *vm.Record) bool { r.Boot = &vm.Boot{ID: "next"}; return true })
				if err != nil {
					t.Error(err)
				}
				close(looked)
			})
		}, func(err error) error {
			select {
			case <-looked:
				end.Do(func() { close(changed) })
			default:
			}
			return err
		}}
	}
	r.host.End(dir, machine.ExitPoweroff)
	r.open()
	<-changed
	v, err := r.store.VM(t.Context(), "dev")
	if err != nil || v.Boot.ID != "next" || v.Boot.Exit != nil {
		t.Errorf("%+v (%v)", v.Boot, err)
	}
	if n := r.told("dev", "vm.stopped"); n != 0 {
		t.Errorf("%d ends were told", n)
	}
}

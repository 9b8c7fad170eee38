package vm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// A VM that runs has another name at once, but for what it was started with.
func TestRename(t *testing.T) {
	r := newRig(t)
	var hostname string
	r.host.LaunchHook = func(_ context.Context, l machine.Launch) error { hostname = l.Identity.Hostname; return nil }
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.ok(r.create(spec.VM{Name: "other"}, false))
	v, err := r.vms.Inspect(t.Context(), "dev")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.ok(r.vms.Rename(t.Context(), v.ID, "web", "")) // the second one is of its own name
	}
	if s, why := r.state("web"); s != vm.Running {
		t.Errorf("%s %q", s, why)
	}
	if _, err := r.vms.Inspect(t.Context(), "dev"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("by its old name: %v", err)
	}
	ssh, err := r.vms.SSH(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ssh.Config, filepath.Join(filepath.Dir(ssh.Config), "known_hosts")} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "web.vm") || strings.Contains(string(text), "dev.vm") {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	r.tells("web", "running", "renamed")
	for name, want := range map[string]fault.Kind{"other": fault.Exists, "../x": fault.Invalid, "": fault.Invalid, "0123456789ab": fault.Invalid} {
		if _, err := r.vms.Rename(t.Context(), "web", name, ""); fault.KindOf(err) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if hostname != "dev" {
		t.Errorf("it was started as %q", hostname)
	}
	r.ok(r.vms.Restart(t.Context(), "web", 0, false, ""))
	if hostname != "web" {
		t.Errorf("it was started again as %q", hostname)
	}
}

// SSH's files have the new name without anybody asking for them.
func TestRenameTellsSSH(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	r.ok(r.vms.Rename(t.Context(), "dev", "web", ""))
	text, err := os.ReadFile(filepath.Join(r.dir, "ssh", "config"))
	if err != nil || !strings.Contains(string(text), "Host web.vm\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

// Of those that want one name, one gets it; of those that rename one VM, each
// in its turn or is told that it is late.
func TestRenamesAtOnce(t *testing.T) {
	r := newRig(t)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		r.ok(r.create(spec.VM{Name: name}, false))
	}
	got, failed := make(chan string, len(names)), make(chan error, len(names))
	for _, name := range names {
		go func() {
			rec, err := r.vms.Rename(context.Background(), name, "web", "")
			if err == nil {
				rec, err = r.ops.Wait(context.Background(), rec.ID)
			}
			switch {
			case err != nil:
				failed <- err
			case rec.State != operation.Succeeded:
				failed <- rec.Error
			default:
				got <- name
			}
		}()
	}
	for range len(names) - 1 {
		if err := <-failed; fault.KindOf(err) != fault.Exists {
			t.Error(err)
		}
	}
	v, err := r.vms.Inspect(t.Context(), "web")
	if winner := <-got; err != nil || v.Spec.Name != "web" {
		t.Errorf("%s: %v", winner, err)
	}

	ends := make(chan error, len(names))
	for _, name := range names {
		go func() {
			rec, err := r.vms.Rename(context.Background(), v.ID, "web-"+name, "")
			if err == nil {
				rec, err = r.ops.Wait(context.Background(), rec.ID)
			}
			if err == nil && rec.Error != nil {
				err = rec.Error
			}
			ends <- err
		}()
	}
	succeeded := 0
	for range names {
		if err := <-ends; err == nil {
			succeeded++
		} else if fault.KindOf(err) != fault.Busy || strings.Contains(err.Error(), "taken back") {
			t.Error(err)
		}
	}
	if succeeded == 0 {
		t.Error("nobody renamed it")
	}
}

// A rename that comes too late leaves alone what another has made of it.
func TestRenameThatIsLate(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	r.close()
	r.wrap = func(s vm.Store) vm.Store { return &otherName{Store: s} }
	r.open()
	rec := r.done(r.vms.Rename(t.Context(), "dev", "web", ""))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Busy || rec.Error.Message != "other has just been renamed" {
		t.Errorf("%s, %v", rec.State, rec.Error)
	}
	r.state("other")
}

// otherName is a store in which another renames the VM first.
type otherName struct {
	vm.Store
	once sync.Once
}

func (s *otherName) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) (err error) {
	s.once.Do(func() {
		err = s.Store.ChangeVM(ctx, id, func(r *vm.Record) bool { r.Spec.Name = "other"; return true })
	})
	return errors.Join(err, s.Store.ChangeVM(ctx, id, change))
}

// A daemon that ends once the name is stored has done it.
func TestDaemonRestartInARename(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	stored := make(chan struct{})
	r.close()
	r.wrap = func(s vm.Store) vm.Store { return &lateStore{Store: s, stored: stored} }
	r.open()
	rec, err := r.vms.Rename(t.Context(), "dev", "web", "")
	if err != nil {
		t.Fatal(err)
	}
	<-stored
	r.close()
	r.wrap = nil
	r.open()
	if rec = r.done(rec, nil); rec.State != operation.Succeeded || rec.Resumed != 1 {
		t.Fatalf("%s, resumed %d times: %v", rec.State, rec.Resumed, rec.Error)
	}
	r.state("web")
}

// lateStore answers a change that it has stored when its caller has given up.
type lateStore struct {
	vm.Store
	stored chan struct{}
}

func (s *lateStore) ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error {
	if err := s.Store.ChangeVM(ctx, id, change); err != nil {
		return err
	}
	close(s.stored)
	<-ctx.Done()
	return context.Cause(ctx)
}

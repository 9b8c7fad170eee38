package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vm"
)

// Given brings what a client sent with a request to the VM that the request is
// about, for vm.Manager.Create.
func (k *Keeper) Given(s Sent) vm.Given {
	return func(_ context.Context, id string) (func(), error) { return k.stage(id, s) }
}

// Bring is Given for a VM that is there: its next operation that starts it takes
// it, unless takeBack is called before.
func (k *Keeper) Bring(ctx context.Context, ref string, s Sent) (takeBack func(), err error) {
	r, err := k.vms.VM(ctx, ref)
	if err != nil {
		return nil, err
	}
	return k.stage(r.ID, s)
}

// stage puts down what was sent for a VM, by the time.
func (k *Keeper) stage(id string, s Sent) (takeBack func(), err error) {
	if err := os.MkdirAll(k.cfg.Staged, 0o700); err != nil {
		return nil, fmt.Errorf("making a place for what was sent: %w", err)
	}
	name := fmt.Sprintf("%s.%020d.%s", id, time.Now().UnixNano(), rand.Text())
	if err := write(k.cfg.Staged, name, s); err != nil {
		return nil, err
	}
	return func() {
		if err := ignoreMissing(os.Remove(filepath.Join(k.cfg.Staged, name))); err != nil {
			k.log.Warn("what was sent and nobody takes could not be removed", "vm", id, "err", err)
		}
	}, nil
}

// take keeps what was sent for a VM. A step that is repeated finds the same
// again, or nothing any more.
func (k *Keeper) take(id string) error {
	var errs []error
	for name := range k.staged(func(of string) bool { return of == id }) {
		path := filepath.Join(k.cfg.Staged, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("reading what was sent: %w", err))...)
		}
		var s Sent
		if err = json.Unmarshal(data, &s); err == nil {
			_, err = k.change(id, func(has kept) (kept, error) { return has.with(s) })
			if err != nil && fault.KindOf(err) != fault.Invalid {
				return errors.Join(append(errs, err)...)
			}
		}
		errs = append(errs, err, ignoreMissing(os.Remove(path)))
	}
	return errors.Join(errs...)
}

// dropStaged removes what was sent for some VMs and not taken.
func (k *Keeper) dropStaged(of func(id string) bool) error {
	var errs []error
	for name := range k.staged(of) {
		errs = append(errs, ignoreMissing(os.Remove(filepath.Join(k.cfg.Staged, name))))
	}
	return errors.Join(errs...)
}

// staged are the names of what was sent for some VMs, oldest first of each.
func (k *Keeper) staged(of func(id string) bool) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		all, err := os.ReadDir(k.cfg.Staged) // sorted
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.log.Error("what was sent cannot be listed", "err", err)
		}
		for _, e := range all {
			if id, _, ok := strings.Cut(e.Name(), "."); ok && of(id) && !yield(e.Name()) {
				return
			}
		}
	}
}

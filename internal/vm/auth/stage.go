package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/vm"
)

// Given brings what a client sent with a request to the operation that comes of
// that, which takes it or drops it.
func (k *Keeper) Given(s Sent) vm.Given {
	return vm.Given{For: k.Name(), Put: func(ctx context.Context, id string) (string, func(), error) { return k.stage(ctx, id, s) }}
}

// stage puts down what was sent for a VM.
func (k *Keeper) stage(ctx context.Context, id string, s Sent) (name string, takeBack func(), err error) {
	if err := os.MkdirAll(k.cfg.Staged, 0o700); err != nil {
		return "", nil, fmt.Errorf("making a place for what was sent: %w", err)
	}
	name = id + "." + rand.Text()
	// A loss of power takes the operation's request along, or leaves it without this.
	if err := jsonfile.WriteStatus(k.cfg.Staged, name, s); err != nil {
		return "", nil, err
	}
	return name, func() {
		if err := k.drop(context.WithoutCancel(ctx), name); err != nil {
			k.log.Warn("what was sent and nobody takes could not be removed", "vm", id, "err", err)
		}
	}, nil
}

// take keeps what was sent for a VM. A step that is repeated finds the same
// again, or nothing any more. What cannot be kept is dropped: nobody else would
// take it.
func (k *Keeper) take(ctx context.Context, id, name string) error {
	if name == "" {
		return nil
	}
	var s Sent
	err := jsonfile.Read(k.cfg.Staged, name, &s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = k.change(ctx, id, false, func(has kept) (kept, error) { return has.with(s) })
	}
	// An operation that was interrupted takes it again, one that was cancelled
	// drops it; one that did not wait any longer does neither.
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.DeadlineExceeded) {
		return why
	}
	return errors.Join(err, k.drop(context.WithoutCancel(ctx), name))
}

// drop removes what was sent, "" nothing.
func (k *Keeper) drop(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ignoreMissing(os.Remove(filepath.Join(k.cfg.Staged, name)))
}

// sweep drops all that was sent and that has such a name.
func (k *Keeper) sweep(ctx context.Context, such func(name string) bool) error {
	all, err := os.ReadDir(k.cfg.Staged)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range all {
		if such(e.Name()) {
			errs = append(errs, k.drop(ctx, e.Name()))
		}
	}
	return errors.Join(errs...)
}

// Package comeback starts VMs that no user asks for: those that ended and whose
// restart policy wants them back, and those that start with the host. What it
// has in mind is in their records, so a daemon that is killed takes nothing of
// it along; what it does are ordinary starts.
package comeback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
)

// VMs is what a Keeper needs of the VMs; vm.Manager implements it.
type VMs interface {
	BootUnasked(ctx context.Context, id, key string) (operation.Record, error)
	Publish(id, kind, message string)
}

// Store is the part of vm.Store that a Keeper needs.
type Store interface {
	ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error
	VMByID(ctx context.Context, id string) (vm.Record, error)
	VMs(ctx context.Context) ([]vm.Record, error)
}

// Operations is the part of the registry of operations that a Keeper needs.
type Operations interface {
	Wait(ctx context.Context, id string) (operation.Record, error)
}

// Config has the settings of a Keeper; zero values take the defaults.
type Config struct {
	Host     vm.Host
	BootFile string // keeps the host's boot that VMs were started with
	First    time.Duration
	Longest  time.Duration // pauses double from First (100 ms) to this (1 minute)
	Lasting  time.Duration // how long a guest is up after which pauses begin anew (10 s)
	AtOnce   int           // starts at a time (2)
	Apart    time.Duration // between two VMs that start with the host (1 s)
	Now      func() time.Time
}

// Keeper brings VMs back.
type Keeper struct {
	vms   VMs
	store Store
	ops   Operations
	log   *slog.Logger
	cfg   Config

	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	all    sync.WaitGroup

	mu    sync.Mutex
	under map[string]bool // by ID: a VM that is looked after; true: look again
}

// New makes a Keeper, which does nothing before Start.
func New(vms VMs, store Store, ops Operations, log *slog.Logger, cfg Config) *Keeper {
	def := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	def(&cfg.First, 100*time.Millisecond)
	def(&cfg.Longest, time.Minute)
	def(&cfg.Lasting, 10*time.Second)
	def(&cfg.Apart, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AtOnce == 0 {
		cfg.AtOnce = 2
	}
	k := &Keeper{vms: vms, store: store, ops: ops, log: log, cfg: cfg, slots: make(chan struct{}, cfg.AtOnce), under: map[string]bool{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// Start takes up what an earlier daemon had in mind, and has those started that
// start with the host, if it was restarted since. The VMs must have been. That
// those cannot be marked, or not be remembered to have been, is no reason not to
// go on: a disk may be full.
func (k *Keeper) Start(ctx context.Context) error {
	if err := k.withHost(ctx); err != nil {
		k.log.Error("VMs that start with the host may not be started, or once more by the next daemon", "err", err)
	}
	records, err := k.store.VMs(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		k.Ended(r.ID)
	}
	return nil
}

// Close ends it; starts that are under way are operations, and go on.
func (k *Keeper) Close() {
	k.mu.Lock() // whoever began before this is waited for
	k.cancel()
	k.mu.Unlock()
	k.all.Wait()
}

// Ended has a VM looked at whose boot or start may have ended.
func (k *Keeper) Ended(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.under[id]; ok {
		k.under[id] = true
		return
	}
	if k.ctx.Err() != nil {
		return
	}
	k.under[id] = false
	k.all.Go(func() {
		for {
			k.look(id)
			if k.done(id) {
				return
			}
		}
	})
}

// done ends the looking after a VM, unless it was told of meanwhile.
func (k *Keeper) done(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.under[id] && k.ctx.Err() == nil {
		k.under[id] = false
		return false
	}
	delete(k.under, id)
	return true
}

// look looks after a VM until it runs, or is to stay as it is.
func (k *Keeper) look(id string) {
	for k.ctx.Err() == nil {
		at, due, err := k.judge(id)
		switch {
		case err != nil:
			if fault.KindOf(err) != fault.NotFound && k.ctx.Err() == nil {
				k.log.Error("what is to become of a VM cannot be decided", "vm", id, "err", err)
			}
			return
		case !due:
			return
		}
		if wait := min(at.Sub(k.cfg.Now()), k.cfg.Longest); wait > 0 {
			k.sleep(wait)
			continue // whatever has happened meanwhile counts
		}
		if err := k.start(id); err != nil {
			if k.ctx.Err() == nil {
				k.log.Error("a start that nobody asked for cannot be followed", "vm", id, "err", err)
			}
			return
		}
	}
}

func (k *Keeper) sleep(d time.Duration) {
	select {
	case <-k.ctx.Done():
	case <-time.After(d):
	}
}

// start starts a VM and records what came of it. An error is only of not
// knowing that.
func (k *Keeper) start(id string) error {
	select {
	case k.slots <- struct{}{}:
	case <-k.ctx.Done():
		return k.ctx.Err()
	}
	release := sync.OnceFunc(func() { <-k.slots })
	defer release()
	defer time.AfterFunc(k.cfg.Longest, release).Stop() // one that hangs, on a full disk, holds up nobody for ever
	r, err := k.store.VMByID(k.ctx, id)
	if err != nil || r.Comeback == nil || r.Comeback.Next.IsZero() {
		return fault.Except(err, fault.NotFound) // it was halted while others were started
	}
	rec, err := k.vms.BootUnasked(k.ctx, id, key(id, *r.Comeback))
	var f *fault.Error
	switch {
	case err == nil:
		if rec, err = k.ops.Wait(k.ctx, rec.ID); err != nil {
			return err
		}
	case k.ctx.Err() != nil, fault.KindOf(err) == fault.NotFound:
		return fault.Except(err, fault.NotFound)
	case errors.As(err, &f) && f.Kind == fault.Busy:
		return k.awaitOther(f.Operation)
	default:
		rec = operation.Record{State: operation.Failed, Error: fault.From(err)}
	}
	return k.record(id, rec)
}

// key is that of one start: the next daemon finds it by that, and does not begin
// another. What is decided later, in this start of the host or the next, is due
// at another time.
func key(id string, b vm.Comeback) string {
	return fmt.Sprintf("comeback-%s-%s-%d-%d", id, b.Boot, b.Total, b.Next.UnixNano())
}

// awaitOther waits for the operation that has the VM; then it is looked at anew.
func (k *Keeper) awaitOther(op string) error {
	if op == "" {
		k.sleep(time.Second)
		return nil
	}
	_, err := k.ops.Wait(k.ctx, op)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

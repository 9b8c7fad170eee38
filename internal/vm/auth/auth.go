// Package auth keeps what VMs are given of their users' own: who a user is to
// git, public keys, and files with credentials. Clients send it; it is kept in
// the VM's directory, and each boot's guest gets it from there (machine.AuthFile),
// whether a client is there or not. It is a capability (internal/vm/hook).
//
// Nothing of it is in an operation's parameters, which are stored: what comes
// with a request is a file of its own, of which they have the name, until the
// operation takes it.
package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/hook"
)

// Sent is what a client sends for a VM. What it does not name stays as it was;
// Keys that are there and empty, and a Git without a word, say that there are none.
type Sent struct {
	credential.Set
	// Off: the VM is to have nothing, until a user asks for more than files.
	Off bool `json:"off,omitempty"`
	// Asked: a user asks for just this, and not for a VM or a start.
	Asked bool `json:"asked,omitempty"`
}

// VMs is what a Keeper needs of the store of VMs.
type VMs interface {
	VM(ctx context.Context, ref string) (vm.Record, error)
	ChangeVM(ctx context.Context, id string, change func(*vm.Record) bool) error
}

// Operations is what a Keeper needs of the operation registry.
type Operations interface {
	Begin(ctx context.Context, req operation.Request) (operation.Record, error)
	Known(ctx context.Context, kind, key string) (*operation.Record, error)
	List(ctx context.Context, all bool) ([]operation.Record, error)
}

// Config has the places of a Keeper.
type Config struct {
	Dir    string // holds one directory per VM
	Staged string // holds what was sent and is not taken yet; the Keeper's alone
}

// Keeper keeps it for all VMs of a daemon.
type Keeper struct {
	vms    VMs
	guests machine.Authorizer
	log    *slog.Logger
	cfg    Config
	ops    Operations
}

// New makes a Keeper. Its planners go into the registry that is handed over with
// Start.
func New(vms VMs, guests machine.Authorizer, log *slog.Logger, cfg Config) *Keeper {
	return &Keeper{vms: vms, guests: guests, log: log, cfg: cfg}
}

// Start comes once all that was interrupted has been taken up, and before any
// request: what was sent to an earlier daemon and no operation will take goes.
func (k *Keeper) Start(ctx context.Context, ops Operations) error {
	k.ops = ops
	live, err := ops.List(ctx, false)
	if err != nil {
		return err
	}
	return k.sweep(ctx, func(name string) bool {
		return !slices.ContainsFunc(live, func(op operation.Record) bool { return bytes.Contains(op.Params, []byte(name)) })
	})
}

func target(id string) string { return "vm/" + id }

// Name implements hook.Capability.
func (*Keeper) Name() string { return "auth" }

// A guest may be slow to answer, and writes a few small files.
const giving = 30 * time.Second

// Hooks implements hook.Capability.
func (k *Keeper) Hooks() []hook.Hook {
	take := func(ctx context.Context, v hook.VM) error { return k.take(ctx, v.ID, v.Brought) }
	drop := func(ctx context.Context, v hook.VM) error { return k.drop(ctx, v.Brought) }
	// Of a VM that goes nobody takes anything any more.
	dropAll := func(ctx context.Context, v hook.VM) error {
		return k.sweep(ctx, func(name string) bool { return strings.HasPrefix(name, v.ID+".") })
	}
	return []hook.Hook{
		{At: hook.Create, Do: take},
		{At: hook.PreStart, Do: take},
		{At: hook.Ready, Deadline: giving, Do: k.ready},
		{At: hook.Delete, Do: dropAll},
		{At: hook.GivenUp, Do: drop},
	}
}

// ready sees to it that the guest has what is kept: mostly it had that from its
// monitor before it was ready.
func (k *Keeper) ready(ctx context.Context, v hook.VM) error {
	has, err := k.read(v.ID)
	if err != nil || has == nil {
		return err
	}
	if r := v.Machine.Guest.Auth; r != nil && r.ID == has.ID {
		return has.problems(*r)
	}
	return k.tell(ctx, v.ID, *has)
}

// tell has a running guest take what is kept.
func (k *Keeper) tell(ctx context.Context, id string, has kept) error {
	r, err := k.guests.Authorize(ctx, k.dir(id))
	if errors.Is(err, machine.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the guest does not have it yet: %w", err)
	}
	if r.ID != has.ID {
		return fault.New(fault.Unavailable, "Try again, or stop and start the VM.", "the guest does not have it yet: it says that it has another state")
	}
	return has.problems(r)
}

// problems says what a guest did not take.
func (has kept) problems(r wire.AuthReport) error {
	all := slices.Clone(r.Problems)
	for i, reason := range r.Files {
		if reason != "" && i < len(has.Files) {
			all = append(all, has.Files[i].Path+": "+reason)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fault.New(fault.Precondition, "Remove that in the VM and push it again, or take it off its list with: banger auth rm", "the guest did not take all: %s", strings.Join(all, "; "))
}

package comeback

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// withHost marks the VMs that start with the host, once for each of its starts.
// A daemon that is killed in between marks some of them twice, which changes
// nothing.
func (k *Keeper) withHost(ctx context.Context) error {
	if k.cfg.Host.Boot == "" {
		return nil
	}
	last, err := os.ReadFile(k.cfg.BootFile) // one that cannot be read is as good as none
	if err == nil && strings.TrimSpace(string(last)) == k.cfg.Host.Boot {
		return nil
	}
	records, err := k.store.VMs(ctx)
	if err != nil {
		return err
	}
	at := k.cfg.Now()
	for _, r := range records {
		if !k.startsWithHost(r) {
			continue
		}
		if err := k.mark(r.ID, at); err != nil {
			return err
		}
		at = at.Add(k.cfg.Apart)
	}
	// Half of it is another boot's.
	if err := os.WriteFile(k.cfg.BootFile, []byte(k.cfg.Host.Boot+"\n"), 0o600); err != nil {
		return fmt.Errorf("keeping with which start of the host VMs were started: %w", err)
	}
	return nil
}

// startsWithHost reports whether a VM is one of those: it is marked, or its
// policy is to have it always and it ran until the host or itself ended.
func (k *Keeper) startsWithHost(r vm.Record) bool {
	switch {
	case !r.Made, r.Spec.AutoRemove, r.Boot != nil && r.Boot.Host.Boot == k.cfg.Host.Boot:
		return false // whatever became of a boot since the host's start: its mark was for that one
	case r.Spec.Autostart:
		return true
	case r.Spec.Restart != spec.RestartAlways, r.Halted, r.Boot == nil:
		return false
	}
	return r.Boot.Exit == nil || r.Boot.Exit.Reason != machine.ExitStopped && r.Boot.Exit.Reason != machine.ExitKilled
}

func (k *Keeper) mark(id string, at time.Time) error {
	return fault.Except(k.change(id, func(r *vm.Record) (*news, bool) {
		next := vm.Comeback{Boot: bootID(*r), Next: at, Marked: true, Why: "the host was started"}
		if r.Comeback != nil {
			next.Total = r.Comeback.Total
		}
		r.Halted, r.Comeback = false, &next
		return &news{"vm.autostart", "it starts with the host"}, true
	}), fault.NotFound)
}

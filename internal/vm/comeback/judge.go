package comeback

import (
	"fmt"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// news is an event in the making.
type news struct{ kind, message string }

// judge decides what is to become of a VM, once for each end, and says when it
// is due to be started, if it is.
func (k *Keeper) judge(id string) (at time.Time, due bool, err error) {
	r, err := k.store.VMByID(k.ctx, id)
	if err != nil {
		return at, false, err
	}
	if _, changed := k.cfg.decide(&r, k.cfg.Now()); changed { // mostly there is nothing to write
		err = k.change(id, func(now *vm.Record) (*news, bool) {
			n, changed := k.cfg.decide(now, k.cfg.Now())
			r = *now
			return n, changed
		})
	}
	if c := r.Comeback; err == nil && c != nil && !idle(r) && !c.Next.IsZero() {
		return c.Next, true, nil
	}
	return at, false, err
}

// change changes a record and then tells of it.
func (k *Keeper) change(id string, change func(*vm.Record) (n *news, changed bool)) error {
	var told *news
	err := k.store.ChangeVM(k.ctx, id, func(r *vm.Record) (changed bool) {
		told, changed = change(r)
		return changed
	})
	if err == nil && told != nil {
		k.vms.Publish(id, told.kind, told.message)
	}
	return err
}

// idle reports whether nothing is to be decided: the VM runs, or a user wants it
// as it is.
func idle(r vm.Record) bool {
	return r.MayRun() || r.Halted || !r.Made || r.Spec.AutoRemove
}

// decide decides on the end of a VM's last boot unless that is done. That
// nothing is to be done is kept too: a policy that comes later is for later ends.
func (c Config) decide(r *vm.Record, now time.Time) (*news, bool) {
	boot := bootID(*r)
	switch b := r.Comeback; {
	case idle(*r), b == nil && r.Boot == nil:
		return nil, false
	case b != nil && b.Boot == boot:
		return nil, c.revise(b, r.Spec.Restart, now)
	}
	next := vm.Comeback{Boot: boot}
	if r.Comeback != nil {
		next.Row, next.Total = r.Comeback.Row, r.Comeback.Total
	}
	if c.lasted(*r.Boot) {
		next.Row = 0
	}
	r.Comeback = &next
	failed, byItself := judged(r.Boot.Exit.Reason)
	if !byItself || !r.Spec.Restart.After(failed) {
		return nil, true
	}
	return c.again(r, vm.ExitSentence(*r.Boot.Exit), now), true
}

// revise changes what is decided where that no longer holds: the policy was taken
// away, or the clock set back, so that the pause would be longer than any. Those
// that start with the host come one after the other, however many they are.
func (c Config) revise(b *vm.Comeback, policy spec.Restart, now time.Time) (changed bool) {
	latest := now.Add(c.Longest)
	switch {
	case b.Next.IsZero() || b.Marked:
		return false
	case policy == spec.RestartNo:
		b.Next = time.Time{}
		return true
	case b.Next.After(latest):
		b.Next = latest
		return true
	}
	return false
}

// again has the VM started after a pause, unless that was often enough.
func (c Config) again(r *vm.Record, why string, now time.Time) *news {
	b := r.Comeback
	b.Why = why
	if most := r.Spec.Restart.Most(); most > 0 && b.Row >= most {
		b.Next, b.GaveUp = time.Time{}, true
		return &news{"vm.stays_down", fmt.Sprintf("it was started %d times in a row, as often as its restart policy has it: %s", b.Row, why)}
	}
	pause := c.pause(b.Row)
	b.Next = now.Add(pause)
	return &news{"vm.comes_back", fmt.Sprintf("its restart policy starts it again in %s: %s", pause, why)}
}

// pause is that before the start after so many that did not last.
func (c Config) pause(row int) time.Duration {
	pause := c.First
	for range row {
		if pause = min(2*pause, c.Longest); pause == c.Longest {
			break
		}
	}
	return pause
}

// lasted reports whether a guest was up long enough.
func (c Config) lasted(b vm.Boot) bool {
	if b.Status == nil || b.Status.ReadyMS == 0 || b.Exit == nil {
		return false
	}
	up := b.StartedAt.Add(time.Duration(b.Status.ReadyMS * float64(time.Millisecond)))
	return b.Exit.At.Sub(up) >= c.Lasting
}

// judged says whether a boot ended by itself, and whether it failed.
func judged(reason string) (failed, byItself bool) {
	switch reason {
	case machine.ExitPanic, machine.ExitCrashed, machine.ExitBootTimeout, machine.ExitStartFailed:
		return true, true
	case machine.ExitPoweroff:
		return false, true
	}
	return false, false
}

func bootID(r vm.Record) string {
	if r.Boot == nil {
		return ""
	}
	return r.Boot.ID
}

// record records what came of a start.
func (k *Keeper) record(id string, op operation.Record) error {
	return fault.Except(k.change(id, func(r *vm.Record) (*news, bool) {
		b := r.Comeback
		if b == nil { // a user has taken over
			return nil, false
		}
		b.Row++
		b.Total++
		marked := b.Marked
		b.Marked, b.Next = false, time.Time{}
		switch {
		case op.State == operation.Succeeded:
			b.Why = ""
			return nil, true
		case op.State == operation.Canceled:
			r.Halted, r.Comeback = true, nil
			return nil, true
		case bootID(*r) == b.Boot && r.Spec.Restart != spec.RestartNo && !r.Halted: // it did not come to a boot, whose end would be decided on
			n := k.cfg.again(r, op.Error.Message, k.cfg.Now())
			if marked {
				n = &news{"vm.autostart_failed", op.Error.Message}
			}
			return n, true
		case marked:
			return &news{"vm.autostart_failed", op.Error.Message}, true
		}
		return nil, true
	}), fault.NotFound)
}

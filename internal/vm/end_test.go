package vm_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// A stop that cannot be asked for, because the monitor is silent, say, is asked
// for again: a kill would lose what the guest has not written yet.
func TestFailingStopIsNoReasonToKill(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	var asked atomic.Int32
	r.host.StopHook = func(context.Context) error {
		if asked.Add(1) < 3 {
			return fault.New(fault.Unavailable, "", "the VM's monitor does not answer in time")
		}
		return nil
	}
	r.ok(r.vms.Stop(t.Context(), "dev", time.Minute, ""))
	if s, why := r.state("dev"); s != vm.Stopped || why != "" || asked.Load() != 3 {
		t.Errorf("%s %q after %d times of asking", s, why, asked.Load())
	}
	r.tells("dev", "running", "stopped")
}

func TestStopThatAlwaysFailsEndsInAKill(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.StopHook = func(context.Context) error { return fault.New(fault.Unavailable, "", "no space left") }
	begin := time.Now()
	r.ok(r.vms.Stop(t.Context(), "dev", 250*time.Millisecond, ""))
	if s, why := r.state("dev"); s != vm.Stopped || why != "it was killed" || time.Since(begin) < 250*time.Millisecond {
		t.Errorf("%s %q after %v", s, why, time.Since(begin))
	}
	r.tells("dev", "running", "stop_timeout", "stopped")
}

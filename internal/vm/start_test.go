package vm_test

import (
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// startOnEnding begins a start of a VM whose guest shuts down by itself.
func (r *rig) startOnEnding() operation.Record {
	r.t.Helper()
	r.ok(r.create(spec.VM{Name: "dev"}, true))
	r.host.Change(r.vmDir("dev"), func(s *machine.Status) { s.Phase = machine.PhaseStopping })
	rec, err := r.vms.Boot(r.t.Context(), "dev", vm.Start{}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.await("the start to wait or to end", func() bool {
		now, err := r.ops.Get(r.t.Context(), rec.ID)
		return err == nil && (now.State.Final() || now.Progress.Phase == "waiting for the guest to shut down")
	})
	return rec
}

// A guest that shuts down is no guest that runs: the start outlasts it.
func TestStartWhileTheGuestShutsDown(t *testing.T) {
	r := newRig(t)
	rec := r.startOnEnding()
	r.host.End(r.vmDir("dev"), machine.ExitPoweroff)
	r.ok(rec, nil)
	if s, why := r.state("dev"); s != vm.Running || r.host.Launches() != 2 {
		t.Errorf("%s %q after %d launches", s, why, r.host.Launches())
	}
}

func TestStartWhileTheGuestReboots(t *testing.T) {
	r := newRig(t)
	rec := r.startOnEnding()
	if now, err := r.ops.Get(t.Context(), rec.ID); err != nil || now.State != operation.Running {
		t.Errorf("it did not wait: %s, %v", now.State, err)
	}
	r.host.Change(r.vmDir("dev"), func(s *machine.Status) { s.Phase = machine.PhaseRunning; s.Reboots++ })
	r.ok(rec, nil)
	if s, why := r.state("dev"); s != vm.Running || r.host.Launches() != 1 {
		t.Errorf("%s %q after %d launches", s, why, r.host.Launches())
	}
}

func TestStartDoesNotWaitForEver(t *testing.T) {
	r := newRig(t)
	r.close()
	r.stopTimeout = 50 * time.Millisecond
	r.open()
	rec := r.done(r.startOnEnding(), nil)
	if rec.State != operation.Failed || rec.Error.Kind != fault.Deadline {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	if r.host.Running() != 1 {
		t.Error("the guest that was shutting down is gone")
	}
}

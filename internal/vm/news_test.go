package vm_test

import (
	"testing"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// What is new is told once: not again by the next daemon, and what happened
// while there was none is told by that.
func TestNews(t *testing.T) {
	r := newRig(t)
	r.host.Mute = true
	rec, err := r.create(spec.VM{Name: "dev"}, true)
	if err != nil {
		t.Fatal(err)
	}
	r.await("the machine", func() bool { return r.host.Running() == 1 })
	dir := r.vmDir("dev")
	change := func(f func(s *machine.Status)) { r.host.Change(dir, f) }
	reopen := func() { r.close(); r.open() }

	change(func(s *machine.Status) { s.Phase, s.ReadyMS, s.SystemMS = machine.PhaseRunning, 2, 3 })
	r.ok(rec, nil)
	r.tells("dev", "running", "system_ready")
	reopen()
	change(func(s *machine.Status) { s.Phase = machine.PhasePaused })
	r.tells("dev", "running", "system_ready", "paused")
	reopen()
	if s, why := r.state("dev"); s != vm.Paused { // at once
		t.Errorf("joined: %s %q", s, why)
	}
	r.close()
	change(func(s *machine.Status) { s.Phase, s.MonitorPID = machine.PhaseRunning, 7 })
	r.open()
	r.tells("dev", "running", "system_ready", "paused", "adopted", "resumed")
	change(func(s *machine.Status) { s.Reboots++ }) // so fast that only its end is seen
	r.tells("dev", "running", "system_ready", "paused", "adopted", "resumed", "rebooted", "running", "system_ready")
	reopen()
	r.ok(r.vms.Kill(t.Context(), "dev", ""))
	r.tells("dev", "running", "system_ready", "paused", "adopted", "resumed", "rebooted", "running", "system_ready", "stopped")
}

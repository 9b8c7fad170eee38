package vm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
)

// The kinds of a VM's operations.
const (
	KindCreate = "vm.create"
	KindStart  = "vm.start"
	KindStop   = "vm.stop"
	KindKill   = "vm.kill"
	KindDelete = "vm.delete"

	KindRestart = "vm.restart"
	KindPause   = "vm.pause"
	KindResume  = "vm.resume"
	KindRename  = "vm.rename"
	KindForward = "vm.forward"
	KindSet     = "vm.set"
	KindReset   = "vm.reset"
)

// view derives what is true of a VM now.
func (m *Manager) view(r Record) View {
	v := View{Record: r, Dir: m.dir(r.ID), Live: m.liveStatus(r.ID)}
	holder, _ := m.Claims.Holder(target(r.ID))
	v.Operation = holder.Operation
	v.State, v.Reason = derive(r, v.Live, holder.Kind)
	v.Isolation = isolation(r, v.Live)
	v.Reduced = append(v.Reduced, r.Weaker...)
	for _, capability := range slices.Sorted(maps.Keys(r.Lacking)) {
		v.Reduced = append(v.Reduced, r.Lacking[capability].Sentence)
	}
	if v.Live != nil || r.MayRun() {
		v.Pending = r.shape().Differs(r.Spec.Shape())
	}
	if driver, ok := m.Networks[r.shape().Network]; ok {
		req, err := m.networkRequest(r)
		if err != nil { // such a VM is not made, and does not start
			m.Log.Error("what a VM may reach is not understood", "vm", r.ID, "err", err)
		}
		v.Reaches = driver.Exposure(req.Allow)
	}
	v.Forwards = forward.Merge(r.Spec.Forwards, forwardsOf(v.Live))
	if v.Live != nil {
		v.Reduced = append(v.Reduced, v.Live.VMM.Reduced...)
		v.Reduced = append(v.Reduced, v.Live.Reduced...)
		if m.Units != nil && len(v.Live.Units) > 0 {
			v.Reduced = append(v.Reduced, m.Units.Reduced()...)
		}
	}
	return v
}

// derive is the whole state machine: the operation under way, then the
// machine, then how the last boot ended.
func derive(r Record, live *machine.Status, opKind string) (State, string) {
	switch opKind {
	case KindCreate:
		return Creating, ""
	case KindDelete:
		return Deleting, ""
	case KindStop, KindKill:
		return Stopping, ""
	case KindStart:
		if live == nil || live.Phase != machine.PhaseRunning {
			return Starting, ""
		}
	case KindRestart:
		if live == nil { // between its boots
			return Starting, ""
		}
	case KindReset:
		if live == nil && r.MayRun() {
			return Starting, ""
		}
	}
	if live != nil {
		return liveState(*live)
	}
	if !r.Made {
		return Failed, "its creation did not end; delete it with: banger rm " + r.Spec.Name
	}
	if r.Boot == nil {
		return Stopped, ""
	}
	if r.Boot.Exit == nil {
		return Running, "its monitor does not answer" // yet: it is being joined
	}
	return exitState(r.Boot.Exit)
}

func liveState(s machine.Status) (State, string) {
	switch s.Phase {
	case machine.PhaseRunning:
		return Running, s.Reason
	case machine.PhasePaused:
		return Paused, s.Reason
	case machine.PhaseStopping:
		return Stopping, s.Reason
	case machine.PhaseExited:
		return exitState(s.Exit)
	}
	return Starting, s.Reason
}

func exitState(e *machine.Exit) (State, string) {
	if e == nil {
		return Stopped, ""
	}
	switch e.Reason {
	case machine.ExitStopped:
		return Stopped, ""
	case machine.ExitPoweroff, machine.ExitKilled, machine.ExitCrashed, machine.ExitHostRestarted, machine.ExitMoved:
		return Stopped, ExitSentence(*e)
	}
	return Failed, ExitSentence(*e)
}

// ExitSentence says how a boot ended.
func ExitSentence(e machine.Exit) string {
	text := map[string]string{
		machine.ExitStopped:     "it was stopped",
		machine.ExitPoweroff:    "the guest powered itself off",
		machine.ExitKilled:      "it was killed",
		machine.ExitPanic:       "the guest's kernel panicked",
		machine.ExitCrashed:     "its VMM ended unexpectedly",
		machine.ExitBootTimeout: "the guest did not answer in time",
		machine.ExitStartFailed: "its VMM did not start",

		machine.ExitHostRestarted: "the host was restarted",
		machine.ExitMoved:         "its files were copied or moved here while it ran",
	}[e.Reason]
	if text == "" {
		text = "it ended (" + e.Reason + ")"
	}
	if e.Detail != "" {
		return fmt.Sprintf("%s: %s", text, e.Detail)
	}
	return text
}

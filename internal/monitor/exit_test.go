package monitor

import (
	"testing"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

func TestHowABootEnds(t *testing.T) {
	halted := func(h wire.Halt) wire.Hello { return wire.Hello{Phase: wire.PhaseHalted, Halt: h} }
	const oops = "[ 3.1] Kernel panic - not syncing: Attempted to kill init!"
	for name, c := range map[string]struct {
		end     ending
		reboots bool
		reason  string
	}{
		"asked to stop":            {ending{asked: machine.ExitStopped, vmm: vmm.Exit{Reason: vmm.ExitPoweroff}}, false, machine.ExitStopped},
		"stopped but never ended":  {ending{asked: machine.ExitStopped, vmm: vmm.Exit{Reason: vmm.ExitKilled}, hello: halted(wire.HaltPoweroff)}, false, machine.ExitStopped},
		"killed":                   {ending{asked: machine.ExitKilled, vmm: vmm.Exit{Reason: vmm.ExitKilled}, ready: true}, false, machine.ExitKilled},
		"never answered":           {ending{asked: machine.ExitBootTimeout, vmm: vmm.Exit{Reason: vmm.ExitKilled}}, false, machine.ExitBootTimeout},
		"powered itself off":       {ending{vmm: vmm.Exit{Reason: vmm.ExitPoweroff}, ready: true}, false, machine.ExitPoweroff},
		"halted, VMM lived on":     {ending{vmm: vmm.Exit{Reason: vmm.ExitKilled}, hello: halted(wire.HaltPoweroff), ready: true}, false, machine.ExitPoweroff},
		"rebooted":                 {ending{vmm: vmm.Exit{Reason: vmm.ExitReset}, hello: halted(wire.HaltReboot), ready: true}, true, ""},
		"rebooted without a word":  {ending{vmm: vmm.Exit{Reason: vmm.ExitReset}, ready: true}, true, ""},
		"reset before it was up":   {ending{vmm: vmm.Exit{Reason: vmm.ExitReset}}, false, machine.ExitPanic},
		"triple fault":             {ending{vmm: vmm.Exit{Reason: vmm.ExitFault, Detail: "a triple fault"}, ready: true}, false, machine.ExitPanic},
		"panicked":                 {ending{vmm: vmm.Exit{Reason: vmm.ExitReset}, ready: true, console: oops}, false, machine.ExitPanic},
		"could not boot":           {ending{vmm: vmm.Exit{Reason: vmm.ExitPoweroff}, console: "BANGER-FATAL: no root"}, false, machine.ExitPanic},
		"VMM shot":                 {ending{vmm: vmm.Exit{Reason: vmm.ExitCrashed, Detail: "signal 9"}, ready: true}, false, machine.ExitCrashed},
		"reboot while we stop it":  {ending{asked: machine.ExitStopped, vmm: vmm.Exit{Reason: vmm.ExitReset}, hello: halted(wire.HaltReboot)}, false, machine.ExitStopped},
		"panic while we stop it":   {ending{asked: machine.ExitStopped, vmm: vmm.Exit{Reason: vmm.ExitReset}, console: oops}, false, machine.ExitPanic},
		"crashed while we stop it": {ending{asked: machine.ExitStopped, vmm: vmm.Exit{Reason: vmm.ExitCrashed}}, false, machine.ExitCrashed},
	} {
		if got := c.end.reboots(); got != c.reboots {
			t.Errorf("%s: reboots is %v", name, got)
		}
		if x := c.end.exit("b1"); !c.reboots && (x.Reason != c.reason || x.BootID != "b1") {
			t.Errorf("%s: %+v, want %s", name, x, c.reason)
		}
	}
}

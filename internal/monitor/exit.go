package monitor

import (
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

// What a guest's kernel and banger's /init say on the console when they give up.
const (
	panicMark = "Kernel panic - not syncing"
	fatalMark = "BANGER-FATAL: "
)

// ending is what is known when a VMM has ended.
type ending struct {
	vmm     vmm.Exit
	hello   wire.Hello // the last one
	ready   bool       // the guest had its identity
	asked   string     // why we ended it: machine.ExitStopped, ExitKilled, ExitBootTimeout; "" if we did not
	console string     // the tail
}

// reboots reports whether the guest wants to run again. A reset without a word
// of the agent (reboot -f) counts as one, a panic or a failed boot does not.
func (e ending) reboots() bool {
	if e.asked != "" {
		return false
	}
	if e.hello.Phase == wire.PhaseHalted {
		return e.hello.Halt == wire.HaltReboot
	}
	return e.vmm.Reason == vmm.ExitReset && e.ready && !e.failed()
}

func (e ending) failed() bool {
	return strings.Contains(e.console, panicMark) || strings.Contains(e.console, fatalMark)
}

// exit says how the boot ended.
func (e ending) exit(bootID string) machine.Exit {
	x := machine.Exit{BootID: bootID, Detail: e.vmm.Detail, At: time.Now().UTC()}
	switch {
	case e.asked == machine.ExitStopped && (e.vmm.Reason == vmm.ExitPoweroff || e.hello.Phase == wire.PhaseHalted):
		x.Reason, x.Detail = machine.ExitStopped, ""
		return x
	case e.asked == machine.ExitKilled || e.asked == machine.ExitBootTimeout:
		x.Reason, x.Detail = e.asked, ""
	case e.failed():
		x.Reason, x.Detail = machine.ExitPanic, lastSaid(e.console)
	case e.vmm.Reason == vmm.ExitPoweroff || e.hello.Phase == wire.PhaseHalted:
		x.Reason, x.Detail = machine.ExitPoweroff, ""
		return x
	case e.vmm.Reason == vmm.ExitReset:
		x.Reason, x.Detail = machine.ExitPanic, "it was reset before it was up"
	case e.vmm.Reason == vmm.ExitFault:
		x.Reason = machine.ExitPanic
	default:
		x.Reason = machine.ExitCrashed
	}
	x.Console = e.console
	return x
}

// lastSaid is the line in which a kernel or /init says why it gave up.
func lastSaid(console string) string {
	for line := range strings.Lines(console) {
		for _, mark := range []string{fatalMark, panicMark} {
			if i := strings.Index(line, mark); i >= 0 {
				said := strings.TrimSpace(line[i:])
				return strings.TrimPrefix(said, fatalMark)
			}
		}
	}
	return ""
}

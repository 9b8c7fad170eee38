package qemu

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// ending says how dir's QEMU ended, given what is known: its exit, the cause
// that it told a listener, and whether we killed it.
func ending(dir string, exit hostexec.Exit, shutdown string, killed bool) vmm.Exit {
	if shutdown == "" { // nobody listened
		shutdown = tracedShutdown(filepath.Join(dir, fileTrace))
		if shutdown == causeReset && strings.Contains(lastWords(dir), signalled) {
			shutdown = causeSignal // which leaves the trace of a reset
		}
	}
	out := vmm.Exit{At: time.Now()}
	switch {
	case shutdown == causePoweroff:
		out.Reason = vmm.ExitPoweroff
	case shutdown == causeReset:
		out.Reason = vmm.ExitReset
	case killed:
		out.Reason = vmm.ExitKilled
	default:
		out.Reason = vmm.ExitCrashed
		out.Detail = "QEMU ended by itself: " + exit.String()
		if shutdown != "" {
			out.Detail = "QEMU was told to end (" + shutdown + ")"
		}
		if last := lastWords(dir); last != "" {
			out.Detail += "; its last words: " + last
		}
	}
	return out
}

// waits is what QEMU says first, when it waits for us (fdQMP).
const waits = ": info: QEMU waiting for connection on: "

// signalled is what QEMU says last when a signal tells it to end.
const signalled = ": terminating on signal "

// lastWords is what dir's QEMU said last, "" if it never complained.
func lastWords(dir string) string {
	if last := rundir.LastWords(dir); !strings.Contains(last, waits) {
		return last
	}
	return ""
}

var (
	tracedRequest = regexp.MustCompile(`qemu_system_shutdown_request reason=(\d+)`)
	tracedEnd     = regexp.MustCompile(`runstate_set .*\(shutdown\)`)
)

// tracedShutdown reads from QEMU's trace why it ended, for an end that nobody
// was connected to hear of; "" if it did not end by itself. A power-off is a
// request with a reason; a reset, which -no-reboot makes an end, is none.
func tracedShutdown(path string) string {
	b, err := rundir.ReadEnd(path, 4096)
	if err != nil {
		if !os.IsNotExist(err) {
			return "unknown: " + err.Error()
		}
		return ""
	}
	if found := tracedRequest.FindAllSubmatch(b, -1); found != nil {
		switch string(found[len(found)-1][1]) {
		case "2":
			return "host-qmp-quit"
		case "4":
			return causeSignal
		case "6":
			return causePoweroff
		case "7", "8":
			return causeReset
		}
		return "unknown"
	}
	if tracedEnd.Match(b) {
		return causeReset
	}
	return ""
}

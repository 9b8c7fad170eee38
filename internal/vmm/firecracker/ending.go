package firecracker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

const filtered = "its own system call filter (seccomp) stopped it"

// exitCodes are Firecracker's own.
var exitCodes = map[int]string{
	1:   "an error",
	2:   "an unexpected error",
	148: filtered,
	149: "it caught SIGBUS",
	150: "it caught SIGSEGV",
	151: "it caught SIGXFSZ: a file grew beyond a limit",
	152: "its configuration is bad",
	153: "its command line is not understood",
	154: "it caught SIGXCPU: it used up its processor time",
	155: "it caught SIGPIPE",
	156: "it caught SIGHUP",
	157: "it caught SIGILL",
}

// caught is how Firecracker's log tells of a signal that it caught. What its
// handler does next, writing the metrics, takes locks that the thread which it
// interrupted may hold: it can hang there for ever.
const (
	caught  = ":ERROR] Shutting down VM after intercepting signal "
	badCall = ":ERROR] Shutting down VM after intercepting a bad syscall " // is told after the signal
)

// lastBreath is how long Firecracker may take to end after that.
const lastBreath = 2 * time.Second

// mustEnd ends a Firecracker that has caught a signal and does not end.
func (m *machine) mustEnd() {
	select {
	case <-m.ended:
		return
	case <-time.After(lastBreath):
	}
	m.log.Warn("the VMM hangs after a signal and is killed", "name", m.spec.Name)
	if err := m.proc.Kill(); err != nil {
		m.log.Warn("the VMM cannot be killed", "name", m.spec.Name, "err", err)
	}
}

// ending says how a Firecracker that is gone ended, given its exit and why we
// ended it, if we did.
func (m *machine) ending(exit hostexec.Exit, reason string, killed bool) vmm.Exit {
	ctx, cancel := context.WithTimeout(context.Background(), endingLag)
	defer cancel()
	if !exit.Known && m.warden != nil {
		if told, ok := m.warden.Exit(ctx, m.proc.ID().PID); ok {
			exit = told
		}
	}
	if exit.Known {
		m.mu.Lock()
		m.code = exit.Code
		m.mu.Unlock()
	}
	select { // its last words are in its log
	case <-m.logged:
	case <-ctx.Done():
	}
	if err := m.meter.read(); err != nil {
		m.log.Warn("the VMM's metrics cannot be read", "name", m.spec.Name, "err", err)
	}
	if !killed {
		reason = ""
	}
	return classify(m.spec.Dir, exit, m.meter.end(), reason)
}

// classify tells from all that is known. A VMM that we ended may have been
// quicker: an exit of its own counts more.
func classify(dir string, exit hostexec.Exit, end endCounts, asked string) vmm.Exit {
	out := vmm.Exit{At: time.Now()}
	clean := exit.Known && exit.Signal == 0 && exit.Code == 0
	switch {
	case end.reset() && (clean || !exit.Known):
		out.Reason = vmm.ExitReset
	case clean:
		out.Reason, out.Detail = vmm.ExitFault, "a vCPU of the guest shut down: a triple fault"
	case asked != "" && (exit.Signal == syscall.SIGKILL || !exit.Known):
		out.Reason = asked
	default:
		out.Reason = vmm.ExitCrashed
		last := complaint(dir)
		out.Detail = "Firecracker ended by itself: " + describe(exit, end, last)
		if last != "" {
			out.Detail += "; its last words: " + last
		}
	}
	return out
}

// complaint is the last line in the log of dir's VMM that says what was wrong,
// "" if none does: most lines tell of calls that went well.
func complaint(dir string) string {
	b, err := rundir.ReadEnd(filepath.Join(dir, rundir.LogFile), 16<<10)
	if err != nil {
		return "" // the directory may be gone with its VM
	}
	last := ""
	for line := range bytes.Lines(b) {
		wrong := bytes.Contains(line, []byte(":ERROR]")) || bytes.HasPrefix(line, []byte("Error:"))
		if wrong && !bytes.Contains(line, []byte("exiting with error")) {
			last = hostexec.LastLine(line)
		}
	}
	return last
}

// describe tells from the exit, from the metrics and from the last complaint.
func describe(exit hostexec.Exit, end endCounts, last string) string {
	if said := end.fault(); said != "" {
		return said
	}
	if name, ok := exitCodes[exit.Code]; ok && exit.Known {
		return fmt.Sprintf("%s (exit code %d)", name, exit.Code)
	}
	if strings.Contains(last, badCall) {
		return filtered
	}
	if name := caughtSignal(last); name != "" {
		return "it caught " + name
	}
	return exit.String()
}

// caughtSignal is the name of the signal that a line of the log tells of, "" if
// it tells of none.
func caughtSignal(line string) string {
	_, rest, _ := strings.Cut(line, caught)
	number, _, ok := strings.Cut(rest, ",")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return ""
	}
	return unix.SignalName(unix.Signal(n))
}

// LastExit says from what Firecracker left how the last one ended.
func (d *Driver) LastExit(_ context.Context, spec vmm.Spec) (vmm.Exit, error) {
	held, err := rundir.Locked(spec.Dir)
	if err != nil {
		return vmm.Exit{}, err
	}
	if held {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrRunning)
	}
	left, err := os.Lstat(filepath.Join(spec.Dir, dirRun, fileMetrics))
	if os.IsNotExist(err) {
		return vmm.Exit{}, fmt.Errorf("%s: %w", spec.Dir, vmm.ErrNotRunning)
	}
	if err != nil {
		return vmm.Exit{}, fmt.Errorf("looking at Firecracker's metrics: %w", err)
	}
	var rec record
	if err := rundir.ReadRecord(spec.Dir, &rec); err != nil && !os.IsNotExist(err) {
		return vmm.Exit{}, err
	}
	meter := newMeter(spec.Dir)
	if err := meter.read(); err != nil {
		return vmm.Exit{}, err
	}
	exit := classify(spec.Dir, hostexec.Exit{}, meter.end(), rec.Ended)
	exit.At = left.ModTime() // when it was last seen to do something
	return exit, nil
}

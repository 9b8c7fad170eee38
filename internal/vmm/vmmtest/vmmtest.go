// Package vmmtest is the conformance suite of VMM drivers. A driver, the fake
// included, is one only if Run passes.
package vmmtest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
	"github.com/banger-vm/banger/test/matrix/result"
)

// Harness is what the suite needs of a driver. Its guests run package script.
type Harness struct {
	// Driver makes a driver as a new process would: it shares nothing with
	// earlier ones but the host.
	Driver func(t *testing.T) vmm.Driver
	// Spec describes a machine in a new directory.
	Spec func(t *testing.T) vmm.Spec
	// KillOutside ends the VMM as somebody else would.
	KillOutside func(t *testing.T, facts vmm.Facts)
	// Full describes a machine whose first script.Write finds the host full;
	// free makes room. nil: it cannot be made here, and why.
	Full func(t *testing.T) (spec vmm.Spec, free func())
	// Drives is what script.Drives answers for Spec.
	Drives string
	// Name is what runs the machines, in the results; "" is the driver's name
	// and the accelerator's.
	Name string
}

// tell tells the reader of the results what runs a machine.
func (h Harness) tell(t *testing.T, d vmm.Driver, f vmm.Facts) {
	t.Helper()
	result.Tell(t, cmp.Or(h.Name, d.Name()+"/"+string(f.Accel)), "", f.Reduced...)
}

// Timeout bounds each wait of the suite.
var Timeout = timeout()

func timeout() time.Duration {
	if os.Getenv("BANGER_TEST_HOST") == "1" { // it is emulated, and so slow
		return 4 * time.Minute
	}
	return time.Minute
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"Info":              testInfo,
		"Formats":           testFormats,
		"Start":             testStart,
		"Connect":           testConnect,
		"NotRunning":        testNotRunning,
		"Running":           testRunning,
		"FailedStart":       testFailedStart,
		"Agent":             testAgent,
		"Clock":             testClock,
		"Poweroff":          testPoweroff,
		"Reset":             testReset,
		"PoweroffUnwatched": testPoweroffUnwatched,
		"Kill":              testKill,
		"KilledOutside":     testKilledOutside,
		"Close":             testClose,
		"FullHost":          testFullHost,
		"Pause":             testPause,
		"Stats":             testStats,
		"DriveLimit":        testDriveLimit,
		"Link":              testLink,
		"Resize":            testResize,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

// within is a context for one wait.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	t.Cleanup(cancel)
	return ctx
}

// start starts a machine that is killed when the test ends.
func start(t *testing.T, h Harness, spec vmm.Spec) vmm.Machine {
	t.Helper()
	d := h.Driver(t)
	m, err := d.Start(within(t), spec)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	h.tell(t, d, m.Facts())
	t.Cleanup(func() {
		closeMachine(t, m) // once more is harmless
		end(t, h, spec)
	})
	return m
}

// end kills whatever runs in spec's directory.
func end(t *testing.T, h Harness, spec vmm.Spec) {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	m, err := h.Driver(t).Connect(ctx, spec)
	if errors.Is(err, vmm.ErrNotRunning) {
		return
	}
	if err != nil {
		t.Errorf("cleaning up: %v", err)
		return
	}
	if err := m.Kill(ctx); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("cleaning up: %v", err)
	}
}

func connect(t *testing.T, h Harness, spec vmm.Spec) vmm.Machine {
	t.Helper()
	m, err := h.Driver(t).Connect(within(t), spec)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return m
}

func closeMachine(t *testing.T, m vmm.Machine) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// line is a channel with a reader of lines, closed if nothing comes.
type line struct {
	t    *testing.T
	conn io.ReadWriteCloser
	in   *bufio.Reader
}

func openLine(t *testing.T, open func(context.Context) (io.ReadWriteCloser, error)) line {
	t.Helper()
	conn, err := open(within(t))
	if err != nil {
		t.Fatalf("opening a channel: %v", err)
	}
	t.Cleanup(func() { conn.Close() }) // may be closed already
	return line{t, conn, bufio.NewReader(conn)}
}

func (l line) send(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.conn, text+"\n"); err != nil {
		l.t.Fatalf("sending %q: %v", text, err)
	}
}

// await reads until a line that holds want.
func (l line) await(want string) string {
	l.t.Helper()
	late := time.AfterFunc(Timeout, func() { l.conn.Close() })
	defer late.Stop()
	var seen strings.Builder
	for {
		text, err := l.in.ReadString('\n')
		seen.WriteString(text)
		if strings.Contains(text, want) {
			return strings.TrimRight(text, "\r\n")
		}
		if err != nil {
			l.t.Fatalf("waiting for %q: %v; there came:\n%s", want, err, seen.String())
		}
	}
}

// drain reads until the channel ends.
func (l line) drain() { _, _ = io.Copy(io.Discard, l.in) }

// up waits until the guest answers on its agent channel. Its console is read
// on, as a machine's always is.
func up(t *testing.T, m vmm.Machine) line {
	t.Helper()
	console := openLine(t, m.Console)
	console.await(script.Banner)
	go console.drain()
	agent := openLine(t, m.Agent)
	agent.send("hello")
	agent.await(script.Echo + "hello")
	return agent
}

func awaitEvent(t *testing.T, m vmm.Machine, want vmm.EventType) vmm.Event {
	t.Helper()
	for {
		select {
		case e, ok := <-m.Events():
			if !ok {
				t.Fatalf("the events ended without %q", want)
			}
			if e.Type == want {
				return e
			}
		case <-within(t).Done():
			t.Fatalf("no event %q", want)
		}
	}
}

func awaitExit(t *testing.T, m vmm.Machine, want string) vmm.Exit {
	t.Helper()
	exit, err := m.Wait(within(t))
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	if exit.Reason != want || time.Since(exit.At) > time.Hour {
		t.Errorf("Wait = %+v, want %s", exit, want)
	}
	for range m.Events() { // must end
	}
	return exit
}

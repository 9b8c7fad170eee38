package vmmtest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

func testStart(t *testing.T, h Harness) {
	spec := h.Spec(t)
	began := time.Now()
	m := start(t, h, spec)
	f := m.Facts()
	if f.PID <= 0 || f.Version == "" || f.Accel == vmm.AccelAuto || f.Accel == "" || f.Paused {
		t.Errorf("Facts = %+v", f)
	}
	if f.Isolation == "" {
		t.Error("Facts do not say how the VMM is isolated")
	}
	if f.Started.Before(began.Add(-time.Second)) || f.Started.After(time.Now()) {
		t.Errorf("Started = %v, began %v", f.Started, began)
	}
	// Wait first: what is printed before the first reader must not be lost.
	time.Sleep(50 * time.Millisecond)
	console := openLine(t, m.Console)
	console.await(script.Banner)
	console.send("one two")
	console.await(script.Echo + "one two")
	select {
	case e := <-m.Events():
		t.Errorf("a start reports %+v", e)
	default:
	}
}

func testConnect(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	agent := up(t, m)
	agent.send("before")
	agent.await("before")
	was := m.Facts()
	closeMachine(t, m)
	m = connect(t, h, spec)
	defer closeMachine(t, m)
	if f := m.Facts(); f.PID != was.PID || !f.Started.Equal(was.Started) || f.Accel != was.Accel || f.Version != was.Version || f.Isolation != was.Isolation {
		t.Errorf("Facts = %+v, were %+v", f, was)
	}
	again := openLine(t, m.Agent)
	again.send("after")
	again.await(script.Echo + "after")
	console := openLine(t, m.Console)
	console.send("typed")
	console.await(script.Echo + "typed")
}

func testNotRunning(t *testing.T, h Harness) {
	spec := h.Spec(t)
	if _, err := h.Driver(t).Connect(within(t), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect to nothing = %v", err)
	}
	m := start(t, h, spec)
	if err := m.Kill(within(t)); err != nil {
		t.Fatal(err)
	}
	closeMachine(t, m)
	if _, err := h.Driver(t).Connect(within(t), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect to left-over files = %v", err)
	}
	up(t, start(t, h, spec)) // they are in nobody's way
}

func testRunning(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	for range 2 {
		if _, err := h.Driver(t).Start(within(t), spec); !errors.Is(err, vmm.ErrRunning) {
			t.Errorf("a second Start = %v", err)
		}
	}
	up(t, m) // it did no harm
}

func testFailedStart(t *testing.T, h Harness) {
	spec := h.Spec(t)
	before := names(t, spec.Dir)
	bad := spec
	bad.Kernel = filepath.Join(spec.Dir, "no-such-kernel")
	if err := h.Driver(t).Prepare(within(t), bad); err == nil {
		t.Error("Prepare accepts a missing kernel")
	}
	if err := h.Driver(t).Prepare(within(t), spec); err != nil {
		t.Errorf("Prepare: %v", err)
	}
	if _, err := h.Driver(t).Start(within(t), bad); err == nil {
		t.Error("Start accepts a missing kernel")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Driver(t).Start(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Start = %v", err)
	}
	for name, mode := range names(t, spec.Dir) {
		if _, was := before[name]; !was && mode&os.ModeSocket != 0 {
			t.Errorf("a failed Start left the socket %s", name)
		}
	}
	if _, err := h.Driver(t).Connect(within(t), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect after a failed Start = %v", err)
	}
}

func names(t *testing.T, dir string) map[string]os.FileMode {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]os.FileMode{}
	for _, e := range entries {
		found[e.Name()] = e.Type()
	}
	return found
}

func testAgent(t *testing.T, h Harness) {
	m := start(t, h, h.Spec(t))
	first := up(t, m)
	if h.Drives != "" {
		first.send(script.Drives)
		if got := first.await(""); got != h.Drives {
			t.Errorf("the guest's drives have the sizes %q, want %q", got, h.Drives)
		}
	}
	second := openLine(t, m.Agent)
	if _, err := first.in.ReadByte(); err == nil {
		t.Error("the first agent connection outlives a second")
	}
	second.send("second")
	second.await(script.Echo + "second")
	// A guest cannot tell connections apart; the next one starts afresh.
	if err := second.conn.Close(); err != nil {
		t.Error(err)
	}
	third := openLine(t, m.Agent)
	third.send("\nthird")
	third.await(script.Echo + "third")
}

// A guest's second is a second.
func testClock(t *testing.T, h Harness) {
	agent := up(t, start(t, h, h.Spec(t)))
	clock := func() (asked, answered time.Time, guest time.Duration) {
		asked = time.Now()
		agent.send(script.Clock)
		nanos, err := strconv.ParseInt(agent.await(""), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return asked, time.Now(), time.Duration(nanos)
	}
	asked1, answered1, first := clock()
	time.Sleep(time.Second)
	asked2, answered2, second := clock()
	least, most := asked2.Sub(answered1), answered2.Sub(asked1)
	if passed := second - first; passed < least*98/100 || passed > most*102/100 {
		t.Errorf("%v passed in the guest, %v to %v on the host", passed, least, most)
	}
}

func testClose(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	waited := make(chan error, 1)
	go func() { _, err := m.Wait(context.Background()); waited <- err }()
	console, err := m.Console(within(t))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, console); read <- err }()
	closeMachine(t, m)
	if err := <-waited; err == nil {
		t.Error("Wait after Close says that the VMM has ended")
	}
	<-read
	for range m.Events() { // must end
	}
	closeMachine(t, m) // twice is harmless
	closeMachine(t, connect(t, h, spec))
}

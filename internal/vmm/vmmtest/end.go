package vmmtest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

func testPoweroff(t *testing.T, h Harness) {
	m := start(t, h, h.Spec(t))
	up(t, m).send(script.Poweroff)
	awaitEvent(t, m, vmm.EventPoweroff)
	awaitExit(t, m, vmm.ExitPoweroff)
	if _, err := m.Agent(within(t)); err == nil {
		t.Error("a machine that has ended has an agent")
	}
	if err := m.Kill(within(t)); err != nil {
		t.Errorf("killing the dead: %v", err)
	}
	closeMachine(t, m)
}

func testReset(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	up(t, m)
	closeMachine(t, m)
	m = connect(t, h, spec) // who comes late hears of it too
	openLine(t, m.Agent).send(script.Reset)
	awaitEvent(t, m, vmm.EventReset)
	awaitExit(t, m, vmm.ExitReset)
	closeMachine(t, m)
}

// A guest that powers off while nobody is connected ends its VMM, or the next
// one who connects does, and a driver that keeps a record can say how.
func testPoweroffUnwatched(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	agent := up(t, m)
	if pm, ok := h.Driver(t).(vmm.PostMortem); ok {
		if _, err := pm.LastExit(within(t), spec); !errors.Is(err, vmm.ErrRunning) {
			t.Errorf("LastExit of a running VMM = %v", err)
		}
	}
	agent.send(script.Poweroff)
	closeMachine(t, m)
	for deadline := time.Now().Add(Timeout); ; time.Sleep(10 * time.Millisecond) {
		m, err := h.Driver(t).Connect(within(t), spec)
		if errors.Is(err, vmm.ErrNotRunning) {
			break
		}
		if err == nil {
			watchEnd(t, m)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the VMM outlives its guest's power-off (%v)", err)
		}
	}
	if pm, ok := h.Driver(t).(vmm.PostMortem); ok {
		if exit, err := pm.LastExit(within(t), spec); err != nil || exit.Reason != vmm.ExitPoweroff {
			t.Errorf("LastExit = %+v, %v", exit, err)
		}
	}
}

// watchEnd keeps a machine for a while, as a monitor does.
func watchEnd(t *testing.T, m vmm.Machine) {
	t.Helper()
	if console, err := m.Console(within(t)); err == nil {
		go func() { _, _ = io.Copy(io.Discard, console) }() // ends with the machine
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _ = m.Wait(ctx) // the caller asks again
	closeMachine(t, m)
}

func testKill(t *testing.T, h Harness) {
	spec := h.Spec(t)
	first := start(t, h, spec)
	up(t, first)
	closeMachine(t, first)
	m := connect(t, h, spec)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait on a living VMM = %v", err)
	}
	began := time.Now()
	if err := m.Kill(within(t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("killed after %v", time.Since(began))
	awaitExit(t, m, vmm.ExitKilled)
	closeMachine(t, m)
}

func testKilledOutside(t *testing.T, h Harness) {
	m := start(t, h, h.Spec(t))
	h.KillOutside(t, m.Facts())
	if exit := awaitExit(t, m, vmm.ExitCrashed); exit.Detail == "" {
		t.Error("a crash has no detail")
	}
	closeMachine(t, m)
}

func testFullHost(t *testing.T, h Harness) {
	if h.Full == nil {
		t.Skip("a full host cannot be made here")
	}
	spec, free := h.Full(t)
	m := start(t, h, spec)
	agent := up(t, m)
	agent.send(script.Write)
	if e := awaitEvent(t, m, vmm.EventPaused); e.Reason != vmm.PauseNoSpace {
		t.Errorf("the guest is paused because of %q", e.Reason)
	}
	closeMachine(t, m)
	m = connect(t, h, spec) // who comes late is told too
	defer closeMachine(t, m)
	if !m.Facts().Paused {
		t.Error("Facts do not say that the guest is paused")
	}
	if e := awaitEvent(t, m, vmm.EventPaused); e.Reason != vmm.PauseNoSpace {
		t.Errorf("the guest was found paused because of %q", e.Reason)
	}
	free()
	if err := m.Resume(within(t)); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	awaitEvent(t, m, vmm.EventResumed)
	late := openLine(t, m.Agent)
	// The guest answers commands one by one, and ends if its write fails.
	late.send("\nwritten?")
	late.await(script.Echo + "written?")
}

package vmmtest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

// testPause is for machines that can be paused.
func testPause(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	p, ok := m.(vmm.Pauser)
	if !ok {
		t.Skip("machines of this driver cannot be paused")
	}
	up(t, m)
	err := p.Pause(within(t))
	if errors.Is(err, vmm.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("Pause: %v", err)
	}
	if e := awaitEvent(t, m, vmm.EventPaused); e.Reason != vmm.PauseAsked {
		t.Errorf("the machine is paused because of %q", e.Reason)
	}
	closeMachine(t, m)
	m = connect(t, h, spec) // who comes late is told too
	defer closeMachine(t, m)
	if !m.Facts().Paused {
		t.Error("Facts do not say that the machine is paused")
	}
	awaitEvent(t, m, vmm.EventPaused)
	time.Sleep(50 * time.Millisecond) // a guest that goes on would be heard of
	select {
	case e := <-m.Events():
		t.Errorf("a paused machine reports %+v", e)
	default:
	}
	if err := m.Resume(within(t)); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	awaitEvent(t, m, vmm.EventResumed)
	again := openLine(t, m.Agent)
	again.send("\nawake")
	again.await(script.Echo + "awake")
}

// testStats is for machines that count.
func testStats(t *testing.T, h Harness) {
	m := start(t, h, h.Spec(t))
	meter, ok := m.(vmm.Meter)
	if !ok {
		t.Skip("machines of this driver count nothing")
	}
	agent := up(t, m)
	before, err := meter.Stats(within(t))
	if err != nil {
		t.Fatalf("Stats: %v", err)
	}
	agent.send(script.Write)
	agent.await(script.Written)
	after, err := meter.Stats(within(t))
	if err != nil {
		t.Fatalf("Stats: %v", err)
	}
	wrote := after.Drives[disk.SlotWork].WrittenBytes - before.Drives[disk.SlotWork].WrittenBytes
	if wrote < script.WriteSize || wrote > 2*script.WriteSize {
		t.Errorf("the guest wrote %d bytes, counted were %d", script.WriteSize, wrote)
	}
	if after.CPU < before.CPU || after.Resident <= 0 {
		t.Errorf("Stats = %+v, then %+v", before, after)
	}
}

// testDriveLimit is for guests that have drives.
func testDriveLimit(t *testing.T, h Harness) {
	if h.Drives == "" {
		t.Skip("the guests of this driver have no drives")
	}
	spec := h.Spec(t)
	for i := range spec.Drives {
		spec.Drives[i].Limit = disk.Limit{BytesPerSecond: script.WriteSize / 2, OpsPerSecond: 100_000}
	}
	agent := up(t, start(t, h, spec))
	began := time.Now()
	agent.send(script.Write)
	agent.await(script.Written)
	// A second's worth may go at once, and the operation that exceeds it too: some
	// hundred kB, or a few where the guest gathers them.
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("%d bytes were written in %v, in spite of a limit of %d a second", script.WriteSize, took, script.WriteSize/2)
	}
}

// testLink is for machines whose card hands its frames over: one after the
// other may take them, and the next who connects.
func testLink(t *testing.T, h Harness) {
	spec := h.Spec(t)
	m := start(t, h, spec)
	p, ok := m.(vmm.Plugged)
	if !ok || spec.Network.Backend != network.BackendFrames {
		t.Skip("machines of this driver have no card here, or keep their frames")
	}
	up(t, m)
	first := openLink(t, p)
	second := openLink(t, p)
	if _, err := first.ReadFrame(make([]byte, network.MaxFrame)); err == nil {
		t.Error("the first link does not give way to the second")
	}
	frame := append(bytes.Repeat([]byte{0xff}, 12), 0x88, 0xb5, 0)
	if err := second.WriteFrames([][]byte{frame, frame}); err != nil {
		t.Errorf("sending: %v", err)
	}
	closeMachine(t, m)
	m = connect(t, h, spec)
	defer closeMachine(t, m)
	if p, ok = m.(vmm.Plugged); !ok {
		t.Fatal("who connects finds no card")
	}
	if err := openLink(t, p).WriteFrames([][]byte{frame}); err != nil {
		t.Errorf("sending on the next one: %v", err)
	}
	agent := openLine(t, m.Agent)
	agent.send("\nhere")
	agent.await(script.Echo + "here") // the guest runs on
}

func openLink(t *testing.T, p vmm.Plugged) network.Link {
	t.Helper()
	l, err := p.Link(within(t))
	if err != nil {
		t.Fatalf("Link: %v", err)
	}
	t.Cleanup(func() { l.Close() }) // may be closed already
	return l
}

package firecracker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// Firecracker has no power switch, so a guest that powers off stays there with
// its vCPUs halted for good. Its kernel's last words say that it did; as
// anything in the guest can print them, they count only where no vCPU moves
// any more: one that merely idles is woken by a connection to its vsock.

// lastWords are what a kernel ends with when it cannot end the machine.
var lastWords = [][]byte{[]byte("reboot: Power down"), []byte("reboot: System halted")}

const (
	haltStill = 2 * time.Second        // without a move means halted
	haltTick  = 200 * time.Millisecond // between looks
	haltLimit = 15 * time.Second       // for a guest that goes on
)

// haltWatch looks for the last words in a console that comes in pieces.
type haltWatch struct {
	found func()
	line  []byte // the end of what came, as long as the words may be
	seen  bool
}

func (w *haltWatch) see(p []byte) {
	if w.seen || len(p) == 0 {
		return
	}
	w.line = append(w.line, p...)
	for _, words := range lastWords {
		if bytes.Contains(w.line, words) {
			w.seen = true
			w.found()
			return
		}
	}
	if over := len(w.line) - len(lastWords[1]); over > 0 {
		w.line = append(w.line[:0], w.line[over:]...)
	}
}

// suspectHalt ends a VMM whose guest has said its last words, if it keeps to
// them.
func (m *machine) suspectHalt() {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), haltLimit)
		defer cancel()
		m.note(func(r *record) { r.Said = true }) // we may be killed before it is still
		if !m.halted(ctx) {
			return
		}
		m.log.Info("the guest has powered off, ending its VMM", "name", m.spec.Name)
		if err := m.end(ctx, vmm.ExitPoweroff); err != nil && ctx.Err() == nil {
			m.log.Error("ending the VMM of a guest that powered off failed", "name", m.spec.Name, "err", err)
		}
	}()
}

// halted reports whether the vCPUs stand still for haltStill, whatever wakes
// them.
func (m *machine) halted(ctx context.Context) bool {
	tick := time.NewTicker(haltTick)
	defer tick.Stop()
	var last string
	since := time.Now()
	for {
		m.poke(ctx)
		now, err := vcpuMoves(m.proc.ID().PID)
		switch {
		case err != nil:
			return false // it ends by itself
		case now != last:
			last, since = now, time.Now()
		case time.Since(since) >= haltStill:
			state, err := m.api.State(ctx)
			return err == nil && state == fcapi.StateRunning // a paused one stands still too
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		case <-m.ended:
			return false
		}
	}
}

// poke has the guest interrupted by a connection that comes to nothing.
func (m *machine) poke(ctx context.Context) {
	conn, err := rundir.Dial(ctx, filepath.Join(m.spec.Dir, dirRun), fileVsock)
	if err != nil {
		return // its vsock is gone, so nothing of ours wakes it
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(haltTick))
	_, _ = fmt.Fprintf(conn, "CONNECT %d\n", wire.VsockPort) // what matters is whether it wakes
	time.Sleep(haltTick / 4)                                 // until Firecracker has passed it on
}

// vcpuMoves changes whenever a vCPU of the process runs or sleeps.
func vcpuMoves(pid int) (string, error) {
	tasks := fmt.Sprintf("/proc/%d/task", pid)
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return "", err
	}
	var moves strings.Builder
	for _, e := range entries {
		status, err := os.ReadFile(filepath.Join(tasks, e.Name(), "status"))
		if err != nil {
			return "", err
		}
		if !bytes.HasPrefix(status, []byte("Name:\tfc_vcpu")) {
			continue
		}
		for line := range bytes.Lines(status) {
			if bytes.Contains(line, []byte("_switches:")) {
				moves.Write(line)
			}
		}
	}
	if moves.Len() == 0 {
		return "", fmt.Errorf("process %d has no vCPUs: %w", pid, vmm.ErrNotRunning)
	}
	return moves.String(), nil
}

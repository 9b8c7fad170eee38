package qemu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu/qmp"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// attach connects to QEMU, and sets a guest going that has not begun: with
// its console connected, so that no byte of it is lost. From then on, attached
// or not, m is watched.
func (m *machine) attach(ctx context.Context) error {
	defer func() { go m.watch() }()
	conn, err := rundir.Dial(ctx, m.dir, fileQMP)
	if err != nil {
		return err
	}
	client, err := qmp.New(ctx, conn, m.heard)
	if err != nil {
		return err
	}
	m.qmp = client
	m.mu.Lock()
	m.facts.Version = client.Version().String()
	m.mu.Unlock()
	var status struct {
		Status string `json:"status"`
	}
	if err := client.Execute(ctx, "query-status", nil, &status); err != nil {
		return err
	}
	switch status.Status {
	case "prelaunch":
		return m.begin(ctx)
	case "io-error", "paused":
		return m.foundPaused(ctx, status.Status)
	}
	return nil
}

// begin connects the console and starts the vCPUs.
func (m *machine) begin(ctx context.Context) error {
	conn, err := rundir.Dial(ctx, m.dir, fileConsole)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.waiting = conn
	m.mu.Unlock()
	for {
		ready, err := m.consoleConnected(ctx)
		if err != nil {
			return err
		}
		if ready {
			return m.qmp.Execute(ctx, "cont", nil, nil)
		}
		select { // QEMU accepts between two commands
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("QEMU does not accept its console: %w", context.Cause(ctx))
		}
	}
}

func (m *machine) consoleConnected(ctx context.Context) (bool, error) {
	var chardevs []struct {
		Label    string `json:"label"`
		Filename string `json:"filename"`
	}
	if err := m.qmp.Execute(ctx, "query-chardev", nil, &chardevs); err != nil {
		return false, err
	}
	for _, c := range chardevs {
		if c.Label == "console" {
			return !strings.HasPrefix(c.Filename, "disconnected:"), nil
		}
	}
	return false, errors.New("QEMU has no console")
}

// foundPaused finds out why the guest was stopped before we came.
func (m *machine) foundPaused(ctx context.Context, status string) error {
	reason := vmm.PauseAsked
	if status == "io-error" {
		reason = vmm.PauseIOError
		var drives []struct {
			IOStatus string `json:"io-status"`
		}
		if err := m.qmp.Execute(ctx, "query-block", nil, &drives); err != nil {
			return err
		}
		for _, d := range drives {
			if d.IOStatus == "nospace" {
				reason = vmm.PauseNoSpace
			}
		}
	}
	m.mu.Lock()
	m.facts.Paused = true
	m.mu.Unlock()
	m.setPaused(reason)
	return nil
}

// endingLag is how much later than its connections a QEMU that dies may end.
const endingLag = 500 * time.Millisecond

// errEnded says that QEMU ended by itself while it was started.
var errEnded = errors.New("QEMU did not start")

// explain says of a failed start what QEMU said before it ended, if it did.
func (m *machine) explain(ctx context.Context, err error) error {
	select {
	case <-m.ended:
	case <-ctx.Done():
		return err
	case <-time.After(endingLag):
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Errorf("%w: %s", errEnded, m.exit.Detail)
}

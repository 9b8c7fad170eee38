package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// attach connects to Firecracker, and configures and starts an instance that
// was not. files are those of a start, nil to take a running one over. From
// then on, attached or not, m is watched.
func (m *machine) attach(ctx context.Context, files *inherited) error {
	defer func() { go m.watch() }()
	logEnd, err := m.takeLog(files)
	if err != nil {
		close(m.logged)
		return err
	}
	go m.keepLog(logEnd)
	if files == nil && caughtSignal(complaint(m.spec.Dir)) != "" { // read by a monitor that is gone
		m.doomed.Do(func() { go m.mustEnd() })
	}
	if files != nil {
		// Only now, as the VMM has its own copies: its end must end the pipes.
		defer files.close()
	}
	version, err := m.awaitAPI(ctx)
	if err != nil {
		return err
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	m.mu.Lock()
	m.version, m.facts.Version = version, version.String()
	m.mu.Unlock()
	if err := m.takeWire(ctx, files); err != nil {
		return err
	}
	state, err := m.api.State(ctx)
	if err != nil {
		return err
	}
	switch state {
	case fcapi.StateNotStarted:
		if err := m.begin(ctx); err != nil {
			return err
		}
	case fcapi.StatePaused:
		m.mu.Lock()
		m.paused, m.facts.Paused = true, true
		m.mu.Unlock()
		m.emit(vmm.Event{Type: vmm.EventPaused, Reason: m.whyPaused()})
	}
	go m.keepRoom()
	return nil
}

// takeLog is our end of Firecracker's log.
func (m *machine) takeLog(files *inherited) (*os.File, error) {
	if files == nil {
		return openPipe(m.spec.Dir, fileLog, os.O_RDONLY)
	}
	end := files.logEnd
	files.logEnd = nil
	return end, nil
}

// awaitAPI waits until Firecracker answers: it makes its socket itself, so
// there is nothing to wait on but that.
func (m *machine) awaitAPI(ctx context.Context) (fcapi.Version, error) {
	for wait := time.Millisecond; ; wait = min(wait*3/2, 50*time.Millisecond) {
		v, err := m.api.Version(ctx)
		if err == nil || !connecting(err) {
			return v, err
		}
		select {
		case <-time.After(wait):
		case <-m.proc.Done():
			return v, err
		case <-ctx.Done():
			return v, fmt.Errorf("the API of Firecracker does not open: %w", context.Cause(ctx))
		}
	}
}

// connecting reports whether a call found no server.
func connecting(err error) bool {
	return errors.Is(err, errNoSocket) || errors.Is(err, errRefused)
}

// begin configures the instance and starts its vCPUs.
func (m *machine) begin(ctx context.Context) error {
	if err := removeVsock(m.spec.Dir); err != nil {
		return err
	}
	for _, s := range m.driver.settings(m.spec, m.names()) {
		if err := m.api.Configure(ctx, s); err != nil {
			return err
		}
	}
	var err error
	if m.bell, err = hangBell(m.spec.Dir); err != nil {
		return err
	}
	return m.api.Start(ctx)
}

// endingLag is how much later than its connections a VMM that dies may end,
// and how much later its end may be explained.
const endingLag = 500 * time.Millisecond

// errEnded says that Firecracker ended by itself while it was started.
var errEnded = errors.New("the VMM did not start")

// explain says of a failed start what Firecracker said before it ended, if it
// did.
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
	if m.rec.Isolation == vmm.IsolationNamespaces && m.code == enclose.Failed {
		return &notEnclosed{rundir.LastWords(m.spec.Dir)}
	}
	return fmt.Errorf("%w: %s", errEnded, m.exit.Detail)
}

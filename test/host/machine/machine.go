// Package machine runs the test host in QEMU: it boots one, saves it once its
// services are up, restores copies of it in a second, and runs commands in
// them. Nothing of a machine outlives it, nor the process that started it.
package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/qemu/qmp"
	"github.com/banger-vm/banger/test/host/cachedir"
	"github.com/banger-vm/banger/test/host/debian"
)

// Config has the places of a Lab.
type Config struct {
	Dir string // in banger's cache
	// Fresh boots every machine instead of restoring it.
	Fresh bool
	// Processors of a machine, default 1: on more, QEMU before 8.1 can run code
	// that is no more (docs/adr/0009).
	Processors int
}

// Lab starts machines of one base.
type Lab struct {
	cfg  Config
	base debian.Base
	run  hostexec.Runner
	log  *slog.Logger
}

// NewLab returns a Lab.
func NewLab(cfg Config, base debian.Base, run hostexec.Runner, log *slog.Logger) *Lab {
	return &Lab{cfg: cfg, base: base, run: run, log: log}
}

// Machine is a running host.
type Machine struct {
	log     *slog.Logger
	dir     string // its own
	release func() error
	console *console
	cancel  context.CancelFunc
	ended   chan struct{}
	err     error // why QEMU ended; after ended
	qmp     *qmp.Client
	agent   *http.ClientConn
	closing sync.Once
	closed  error
}

// Names of files in a machine's directory.
const (
	qmpSocket   = "qmp.sock"
	agentSocket = "agent.sock"
)

// launch starts QEMU with args and connects to its control socket.
func (l *Lab) launch(ctx context.Context, args []string) (_ *Machine, err error) {
	m := &Machine{log: l.log, console: &console{}, ended: make(chan struct{})}
	if m.dir, m.release, err = cachedir.Make(filepath.Join(l.cfg.Dir, "runs")); err != nil {
		return nil, err
	}
	// The machine must outlive the call that starts it, and ends with Close.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.cancel = cancel
	go func() {
		defer close(m.ended)
		_, m.err = l.run.Run(life, hostexec.Cmd{
			Name: "qemu-system-x86_64", Args: args, Dir: m.dir, Stdout: m.console,
			Env: append(os.Environ(), "TMPDIR="+m.dir), // of the drives' throw-away layers
		})
	}()
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	conn, err := m.dial(ctx, qmpSocket)
	if err != nil {
		return nil, err
	}
	m.qmp, err = qmp.New(ctx, conn, func(qmp.Event) {})
	return m, err
}

// dial connects to one of QEMU's sockets, which it makes as it starts.
func (m *Machine) dial(ctx context.Context, socket string) (net.Conn, error) {
	dir, err := os.Open(m.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socket) // whatever the directory's length
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-m.ended:
			return nil, m.explain(errors.New("QEMU ended as it started"), m.err)
		case <-ctx.Done():
			return nil, m.explain(errors.New("QEMU does not listen"), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// explain adds the end of the console to an error.
func (m *Machine) explain(what, err error) error {
	return fmt.Errorf("%w: %w\n--- the end of the host's console:\n%s", what, err, m.console.tail())
}

// ErrLost is of a host that died or hangs.
var ErrLost = errors.New("the host is lost")

// lost explains that the host is of no use any more: with what its processors
// do, some times, too.
func (m *Machine) lost(err error) error {
	var all strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 3 {
		var registers string
		query := map[string]any{"command-line": "info registers -a"}
		if qmpErr := m.qmp.Execute(ctx, "human-monitor-command", query, &registers); qmpErr != nil {
			fmt.Fprintf(&all, "QEMU does not tell: %v\n", qmpErr)
			break
		}
		for line := range strings.Lines(registers) {
			if !strings.HasPrefix(line, "XMM") && !strings.HasPrefix(line, "YMM") && !strings.HasPrefix(line, "FPR") {
				all.WriteString(strings.TrimRight(line, "\r\n") + "\n")
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%w\n--- the host's processors:\n%s", m.explain(ErrLost, err), all.String())
}

// Console is the end of what the host printed on its console.
func (m *Machine) Console() string { return m.console.tail() }

// Ended is closed when the machine has ended, by itself or by Close.
func (m *Machine) Ended() <-chan struct{} { return m.ended }

// Close ends the machine and removes all that it had.
func (m *Machine) Close() error {
	m.closing.Do(func() {
		m.cancel()
		<-m.ended
		var errs []error
		if m.agent != nil {
			_ = m.agent.Close() // broken already
		}
		if m.qmp != nil {
			errs = append(errs, m.qmp.Close())
		}
		m.closed = errors.Join(append(errs, m.release())...)
	})
	return m.closed
}

package firecracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// fileBell is the socket that Firecracker connects to for a guest that connects
// to wire.BellPort of its host: the vsock's, and the port's number.
var fileBell = fmt.Sprintf("%s_%d", fileVsock, wire.BellPort)

// unrung is how often a guest that has not rung is tried: its agent may be an
// older one, of the time when its kernel was taken in.
const unrung = 500 * time.Millisecond

// bell tells when the agent of a guest that boots can be reached. To try again
// and again costs the guest an interrupt and an answer each time.
type bell struct {
	path string
	l    net.Listener
	rung chan struct{} // closed
}

// hangBell makes the bell of an instance that is not started yet.
func hangBell(dir string) (_ *bell, err error) {
	run, err := os.Open(filepath.Join(dir, dirRun))
	if err != nil {
		return nil, fmt.Errorf("waiting for the guest's agent: %w", err)
	}
	defer run.Close()
	if err := rundir.Remove(run, fileBell); err != nil {
		return nil, err
	}
	f, err := rundir.Listen(run, fileBell)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := &bell{path: filepath.Join(dir, dirRun, fileBell), rung: make(chan struct{})}
	if b.l, err = net.FileListener(f); err != nil {
		return nil, fmt.Errorf("waiting for the guest's agent: %w", err)
	}
	go b.await()
	return b, nil
}

// await takes one ring: a guest may ring for ever.
func (b *bell) await() {
	defer close(b.rung)
	defer b.l.Close()
	defer func() { _ = os.Remove(b.path) }() // else it goes with the directory
	if conn, err := b.l.Accept(); err == nil {
		conn.Close() // that it came says all
	}
}

// close takes the bell down.
func (b *bell) close() {
	if b != nil {
		b.l.Close() // by now it may be closed
		<-b.rung
	}
}

// reach dials the agent, and where no agent listens yet waits for its ring.
func (m *machine) reach(ctx context.Context) (net.Conn, error) {
	for rung := false; ; {
		conn, err := m.dialAgent(ctx)
		if m.bell == nil || rung || !errors.Is(err, io.EOF) { // EOF: nobody listens
			return conn, err
		}
		select {
		case <-m.bell.rung:
			rung = true
		case <-time.After(unrung):
		case <-m.proc.Done():
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

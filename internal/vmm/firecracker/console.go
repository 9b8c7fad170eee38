package firecracker

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm"
)

// console is our ends of the serial line's pipes.
type console struct {
	in, out *os.File
	watch   *haltWatch
}

func (m *machine) openConsole() (*console, error) {
	in, err := openPipe(m.spec.Dir, fileIn, os.O_WRONLY)
	if errors.Is(err, unix.ENXIO) { // nobody has the other end
		err = fmt.Errorf("%s: %w", m.spec.Name, vmm.ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	out, err := openPipe(m.spec.Dir, fileOut, os.O_RDONLY)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &console{in: in, out: out, watch: &haltWatch{found: m.suspectHalt}}, nil
}

func (c *console) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	c.watch.see(p[:max(n, 0)])
	return n, err
}

func (c *console) Write(p []byte) (int, error) { return c.in.Write(p) }

// SetWriteDeadline bounds writes to a guest that reads nothing.
func (c *console) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

func (c *console) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

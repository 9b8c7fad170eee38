// Package fakeproc is the VMM driver of the fake VMM that is a process, for
// tests: the real daemon, monitor and CLI drive it as they drive any other. Its
// guest is the real banger-guest on the image's own files, as processes of this
// host in namespaces, so it needs root, boots in a moment and promises nothing.
// Only a daemon that was built with the tag bangertest knows it.
//
// In a machine's directory lie its sockets (control.sock, console.sock,
// agent.sock), what it is to be (machine.json), what it is (vmm.json), what it
// said (vmm.log), how it ended (vmm.end), and vmm.lock, which it inherits and
// so holds exactly as long as it lives.
package fakeproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// DriverName is the driver's name.
const DriverName = "fake"

// Config is what the driver can be told.
type Config struct {
	Binary string // the program of test/fakevmm; "" is fakevmm
	Settle vmm.Settle
}

// Driver runs machines with the fake VMM.
type Driver struct {
	cfg Config
	log *slog.Logger
}

var (
	_ vmm.Driver     = (*Driver)(nil)
	_ vmm.PostMortem = (*Driver)(nil)
)

// New makes the driver; it looks at nothing yet.
func New(log *slog.Logger, cfg Config) *Driver {
	if cfg.Binary == "" {
		cfg.Binary = "fakevmm"
	}
	return &Driver{cfg: cfg, log: log}
}

// Name is "fake".
func (d *Driver) Name() string { return DriverName }

// Info says that it emulates: a fake has no KVM, and no card either.
func (d *Driver) Info(context.Context) (vmm.Info, error) {
	path, err := d.binary()
	if err != nil {
		return vmm.Info{}, err
	}
	return vmm.Info{
		Name: DriverName, Version: Version, Path: path,
		Accels:    map[vmm.Accel]string{vmm.AccelTCG: "", vmm.AccelKVM: "the fake VMM has no KVM"},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelTCG: vmm.IsolationNoPromise},
		Networks:  []network.Backend{network.BackendNone},
	}, nil
}

// maxCPUs is as many as other VMMs have, more or less.
const maxCPUs = 256

// Prepare finds what would make Start fail.
func (d *Driver) Prepare(_ context.Context, spec vmm.Spec) error {
	if _, err := d.binary(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fault.New(fault.Precondition, "Run it as root.", "the fake VMM mounts the disks of its guest, and so needs root")
	}
	if spec.CPUs < 1 || spec.CPUs > maxCPUs {
		return fault.New(fault.Invalid, "", "a machine of the fake VMM has 1 to %d vCPUs, not %d", maxCPUs, spec.CPUs)
	}
	if b := spec.Network.Backend; b != "" && b != network.BackendNone {
		return fault.New(fault.Precondition, "Use --network none.", "a machine of the fake VMM has no card for the network %q", b)
	}
	if spec.Accel == vmm.AccelKVM {
		return fmt.Errorf("KVM was asked for, and the fake VMM has none: %w", vmm.ErrUnsupported)
	}
	return errors.Join(precheck.Spec(spec), precheck.Raw(spec))
}

func (d *Driver) binary() (string, error) {
	path, err := hostexec.LookPath(d.cfg.Binary)
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return "", fault.New(fault.Precondition, "Build it with: go build ./test/fakevmm", "the fake VMM is needed to run this VM: %w", err)
	}
	return path, err
}

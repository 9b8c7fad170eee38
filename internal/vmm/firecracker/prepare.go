package firecracker

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

const (
	maxCPUs    = 32
	maxCmdline = 2048 // with its end
)

// Prepare finds what would make Start fail. The version is left to Info and to
// Start, which need not run a program for it.
func (d *Driver) Prepare(_ context.Context, spec vmm.Spec) error {
	if _, err := d.binary(); err != nil {
		return err
	}
	return errors.Join(checkMachine(spec), d.checkNetwork(spec.Network), precheck.Spec(spec), precheck.Raw(spec), d.checkKVM())
}

func checkMachine(spec vmm.Spec) error {
	if spec.CPUs < 1 || spec.CPUs > maxCPUs {
		return fault.New(fault.Invalid, "", "Firecracker has 1 to %d vCPUs, not %d", maxCPUs, spec.CPUs)
	}
	if n := len(kernelCmdline(spec)); n >= maxCmdline {
		return fault.New(fault.Invalid, "", "the kernel's command line has %d bytes, Firecracker takes %d", n, maxCmdline-1)
	}
	if spec.Accel == vmm.AccelTCG {
		return fault.New(fault.Precondition, "Use QEMU for it: --vmm qemu.", "Firecracker has no TCG: %w", vmm.ErrUnsupported)
	}
	return nil
}

const hintNetwork = "Use --network none, or QEMU: --vmm qemu."

func (d *Driver) checkNetwork(net network.Attachment) error {
	switch net.Backend {
	case network.BackendNone, "":
		return nil
	case network.BackendFrames:
		if why := d.lacksCard(); why != "" {
			return fault.New(fault.Precondition, hintNetwork, "Firecracker can have no network card here: %s", why)
		}
		return nil
	}
	return fault.New(fault.Precondition, hintNetwork, "the network backend %q does not work on Firecracker: %w", net.Backend, vmm.ErrUnsupported)
}

// lacksCard is why a VMM can have no network card, as far as is known; "" where
// it shall be tried. The card's other end is in a namespace of the VMM's own:
// nothing is ever added to this host's.
func (d *Driver) lacksCard() string {
	if why := d.whyReduced(); why != "" {
		return "its VMM would be in this host's network: " + why
	}
	return d.tun()
}

// hasCard reports whether spec's machine has a network card.
func hasCard(spec vmm.Spec) bool { return spec.Network.Backend == network.BackendFrames }

func (d *Driver) checkKVM() error {
	if reason := d.device(); reason != "" {
		return fault.New(fault.Precondition, "Without KVM use QEMU: --vmm qemu.", "Firecracker needs KVM, but %s", reason)
	}
	return nil
}

const hintInstall = "Install one with: banger vmm install firecracker --from FILE --sha256 SUM."

// binary is Firecracker's path, if it is a program for this machine.
func (d *Driver) binary() (string, error) {
	path, err := hostexec.LookPath(d.cfg.Binary)
	if err == nil {
		return path, checkProgram(path)
	}
	if info, serr := os.Stat(d.cfg.Binary); serr == nil && filepath.IsAbs(d.cfg.Binary) {
		return "", fault.New(fault.Precondition, "Make it one with: chmod +x "+d.cfg.Binary,
			"Firecracker at %s is no executable file (mode %v)", d.cfg.Binary, info.Mode())
	}
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return "", fault.New(fault.Precondition, hintInstall, "Firecracker is needed to run this VM: %w", err)
	}
	return "", err
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkProgram refuses a program of another architecture, which the kernel
// would with less of a reason. A script is left to it.
func checkProgram(path string) error {
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fault.New(fault.Precondition, "Make it executable with: chmod +x "+path, "Firecracker at %s may not be run: %w", path, err)
	}
	f, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at Firecracker: %w", err)
	}
	defer f.Close()
	if want := machines[runtime.GOARCH]; f.Machine != want {
		return fault.New(fault.Precondition, hintInstall, "Firecracker at %s is a program for %v, this host needs %v", path, f.Machine, want)
	}
	return nil
}

// checkVersion refuses what is older than this driver knows.
func checkVersion(v fcapi.Version) error {
	if v.Less(fcapi.Oldest) {
		return fault.New(fault.Precondition, hintInstall, "Firecracker %s is too old: %s or later is needed", v, fcapi.Oldest)
	}
	return nil
}

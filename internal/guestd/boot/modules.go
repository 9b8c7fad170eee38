package boot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
)

// moduleInitCompressed is MODULE_INIT_COMPRESSED_FILE of <linux/module.h>.
const moduleInitCompressed = 4

// loadModules inserts the initramfs's modules in the order of its list, and
// opens those that can wait until the agent runs: each costs the boot some 20 ms
// where there is no hardware virtualisation.
func (b *boot) loadModules() error {
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return fmt.Errorf("reading the list of kernel modules: %w", err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return fmt.Errorf("opening a kernel module: %w", err)
		}
		if canWait(name, b.args.root, hasPort()) {
			b.late = append(b.late, f)
		} else if err := insert(f); err != nil {
			return err
		}
	}
	return nil
}

// canWait says whether root and agent do without a module, and all that comes
// of it: the network, more randomness, vsock where there is a port, and the
// device mapper where nothing is to be joined. name is "NNN-name.ko".
func canWait(name string, root disk.RootMode, port bool) bool {
	_, name, _ = strings.Cut(name, "-")
	name = strings.ReplaceAll(name, "-", "_")
	switch {
	case strings.HasPrefix(name, "virtio_net."), strings.HasPrefix(name, "virtio_rng."), strings.Contains(name, "failover."):
		return true
	case strings.Contains(name, "vsock"):
		return port
	case strings.HasPrefix(name, "dm_"):
		return root != disk.RootCOW
	}
	return false
}

// hasPort says whether the machine has virtio-serial ports.
func hasPort() bool {
	ports, err := os.ReadDir("/sys/class/virtio-ports")
	return err == nil && len(ports) > 0
}

// insert inserts a module and closes its file.
func insert(f *os.File) error {
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(f.Name(), ".ko") {
		flags = moduleInitCompressed
	}
	err := unix.FinitModule(int(f.Fd()), "", flags)
	if err != nil && !errors.Is(err, unix.EEXIST) { // built in, or inserted already
		return fmt.Errorf("inserting the kernel module %s: %w", f.Name(), err)
	}
	return nil
}

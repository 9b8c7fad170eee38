package firecracker

import (
	"strings"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
)

// guestCID is every guest's address on its own vsock.
const guestCID = 3

// cardID is the network card's name.
const cardID = "net"

// settings are the calls that make an instance spec's machine, in their order.
// Doing them again before the start is harmless.
func (d *Driver) settings(spec vmm.Spec, n names) []fcapi.Setting {
	list := []fcapi.Setting{
		{Path: "/machine-config", Body: fcapi.Machine{CPUs: spec.CPUs, MemoryMiB: spec.MemoryBytes >> 20}},
		{Path: "/boot-source", Body: fcapi.BootSource{Kernel: n.kernel, Initramfs: n.initramfs, Args: kernelCmdline(spec)}},
	}
	for _, drive := range spec.Drives { // the guest numbers them in this order
		list = append(list, fcapi.Setting{Path: "/drives/" + string(drive.Slot), Body: fcapi.Drive{
			ID: string(drive.Slot), Path: n.drive(drive), ReadOnly: drive.ReadOnly,
			Cache: fcapi.CacheWriteback, Limit: fcapi.PerSecond(drive.Limit.BytesPerSecond, drive.Limit.OpsPerSecond),
		}})
	}
	if hasCard(spec) {
		list = append(list, fcapi.Setting{Path: "/network-interfaces/" + cardID, Body: fcapi.Card{ID: cardID, Device: wire.Name, MAC: spec.Network.MAC}})
	}
	return append(list,
		fcapi.Setting{Path: "/vsock", Body: fcapi.Vsock{CID: guestCID, Socket: fileVsock}},
		fcapi.Setting{Path: "/entropy", Body: fcapi.Entropy{}},
	)
}

// kernelCmdline is what the guest's kernel is told: what this machine needs,
// then banger's own arguments. Firecracker's own default would keep the guest
// from loading modules.
func kernelCmdline(spec vmm.Spec) string {
	args := []string{
		"console=ttyS0", "quiet", "loglevel=4",
		// A reset by the keyboard controller is all that ends this VMM: so a
		// panic is one, at once, and so is a reboot.
		"panic=-1", "reboot=k",
		"8250.nr_uarts=1", "pci=off",
		"i8042.noaux", "i8042.nomux", "i8042.dumbkbd", // nothing to look for there
		"random.trust_cpu=on",
	}
	return strings.Join(append(args, spec.Cmdline...), " ")
}

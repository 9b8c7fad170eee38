package kernel

import (
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/kernel/unfit"
)

// Want is a module that the initramfs shall hold.
type Want struct {
	Name     string
	Optional bool // a kernel without it is fine
}

// Wanted is what a guest needs before it can mount its root and answer. The
// order is that of insertion where nothing in modules.dep says otherwise.
func Wanted() []Want {
	return []Want{
		{Name: "virtio_ring"},
		{Name: "virtio"},
		{Name: "virtio_mmio"}, // all drives and channels are on it, on every VMM
		{Name: "virtio_pci", Optional: true},
		{Name: "virtio_blk"},
		{Name: "virtio_console", Optional: true},
		{Name: "virtio_rng", Optional: true},
		{Name: "virtio_net", Optional: true},
		{Name: "dm_mod", Optional: true},
		{Name: "dm_bufio", Optional: true},
		{Name: "dm_snapshot", Optional: true},
		{Name: "vsock", Optional: true},
		{Name: "vmw_vsock_virtio_transport", Optional: true},
		{Name: "crc32c_generic", Optional: true}, // ext4 asks for it by another name, which only modprobe knows
		{Name: "ext4"},
	}
}

// What a kernel may lack, where that matters to some VMM, disk or network;
// names are those of modules, as /proc/modules shows them.
const (
	console  = "virtio_console"
	vsock    = "vmw_vsock_virtio_transport"
	network  = "virtio_net"
	snapshot = "dm_snapshot"
	pvh      = "pvh" // the entry by which a VMM starts a vmlinux
)

// Noted are all that Kernel.Lacks may name.
func Noted() []string { return []string{console, vsock, network, snapshot, pvh} }

// lacks names what of the noted modules the kernel has not. A kernel that no
// guest could run on is unfit.
func (m *Modules) lacks() ([]string, error) {
	var missing, lacks []string
	for _, w := range Wanted() {
		if !w.Optional && !m.has(w.Name) {
			missing = append(missing, w.Name)
		}
	}
	if len(missing) > 0 {
		return nil, unfit.New("the kernel has no %s, which its guests need, neither built in nor as a module", strings.Join(missing, " and no "))
	}
	for _, name := range Noted() {
		if name != pvh && !m.has(name) {
			lacks = append(lacks, name)
		}
	}
	if slices.Contains(lacks, console) && slices.Contains(lacks, vsock) {
		return nil, unfit.New("the kernel has neither %s nor %s, and its guests need one of them to be reached", console, vsock)
	}
	return lacks, nil
}

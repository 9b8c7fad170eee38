package machine

import (
	"strconv"
	"strings"

	"github.com/banger-vm/banger/test/host/call"
)

// memoryMiB is the host's memory: enough for some nested guests.
const memoryMiB = 4000

// arguments are QEMU's: those of a saved machine must not change, but for
// whether its memory is written back to its file.
type arguments struct {
	kernel, initramfs, cmdline string
	root                       string // a -drive's options but its id
	modules, payload           string
	memory                     string
	processors                 int
	shared                     bool // the memory file gets what the machine writes
	incoming                   bool // wait for a saved state
}

func (a arguments) list() []string {
	share := "off"
	if a.shared {
		share = "on"
	}
	size := strconv.Itoa(memoryMiB) + "M"
	args := []string{
		"-name", "guest=test-host,process=banger-test-host",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-M", "q35,memory-backend=ram", "-cpu", "max", "-m", size,
		"-smp", strconv.Itoa(a.processors), "-accel", "tcg,tb-size=512",
		"-object", "memory-backend-file,id=ram,size=" + size + ",share=" + share + ",mem-path=" + comma(a.memory),
		"-kernel", a.kernel, "-initrd", a.initramfs, "-append", a.cmdline,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=qmp,path=" + qmpSocket + ",server=on,wait=off", "-mon", "chardev=qmp,mode=control",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,path=" + agentSocket + ",server=on,wait=off",
		"-device", "virtserialport,chardev=agent,name=" + call.PortName,
		"-object", "rng-builtin,id=random", "-device", "virtio-rng-pci,rng=random",
		// In the order of the agent's names for them. Nothing here must
		// survive this machine, so no write waits for the disk.
		"-drive", a.root + ",if=none,id=root,cache=unsafe,discard=unmap", "-device", "virtio-blk-pci,drive=root",
		"-drive", readOnly(a.modules, "modules"), "-device", "virtio-blk-pci,drive=modules",
		"-drive", readOnly(a.payload, "payload"), "-device", "virtio-blk-pci,drive=payload",
		// The host has an uplink, and nobody answers there.
		"-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net",
	}
	if a.incoming {
		args = append(args, "-incoming", "defer", "-S")
	}
	return args
}

func readOnly(path, id string) string {
	return "file=" + comma(path) + ",format=raw,if=none,id=" + id + ",readonly=on,file.locking=off"
}

// comma keeps a comma from ending an option's value.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

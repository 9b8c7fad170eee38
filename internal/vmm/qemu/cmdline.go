package qemu

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// The descriptors that QEMU inherits.
const (
	fdLock = 3 + iota // never touched: it holds the lock
	fdQMP
	fdConsole
	fdAgent
	fdLink
)

// The virtio-mmio buses, a device each. QEMU describes the last one first, and
// the guest numbers what it finds: so the first drive sits on the last bus. A
// device on bus 0 never gets an interrupt (QEMU 7.2 with acpi=on).
const (
	busNetwork = 1 + iota
	busRandom
	busSerial
	busLastDrive
	busFirstDrive = busLastDrive + len(disk.Slots) - 1
)

// commandLine is QEMU's arguments. It names the VM and its directory.
func commandLine(spec vmm.Spec, rec record, kernelArgs string) ([]string, error) {
	cpu, accel := "max", string(rec.Accel)
	if rec.Accel == vmm.AccelKVM {
		cpu = "host"
	}
	if rec.Turns {
		accel += takeTurns
	}
	args := []string{
		"-name", "guest=" + comma(spec.Name) + ",process=" + comma("banger:"+spec.Name),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-M", "microvm,acpi=on,pit=on,pic=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off",
		"-accel", accel, "-cpu", cpu,
		"-smp", strconv.Itoa(spec.CPUs), "-m", strconv.FormatInt(spec.MemoryBytes>>20, 10) + "M",
		"-kernel", spec.Kernel, "-initrd", spec.Initramfs, "-append", kernelArgs,
		"-S", // until the console is connected
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d,server=on,wait=on", fdQMP),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d,server=on,wait=off", fdConsole),
		"-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d,server=on,wait=off", fdAgent),
		"-device", mmio("virtio-serial-device", busSerial),
		"-device", "virtserialport,chardev=agent,name=" + wire.PortName,
		"-object", "rng-builtin,id=random",
		"-device", mmio("virtio-rng-device", busRandom) + ",rng=random",
	}
	for i, drive := range spec.Drives {
		more, err := driveArgs(drive, busFirstDrive-i)
		if err != nil {
			return nil, err
		}
		args = append(args, more...)
	}
	net, err := networkArgs(spec.Network)
	if err != nil {
		return nil, err
	}
	args = append(args, net...)
	return append(args,
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		// Why the guest ended, for whoever comes when QEMU is gone.
		"-D", filepath.Join(spec.Dir, fileTrace),
		"-trace", "qemu_system_shutdown_request", "-trace", "runstate_set",
	), nil
}

type object = map[string]any

// driveArgs are the arguments of one drive: of the format and on the file that we
// say, whatever the file says itself, and with a write cache that the guest's
// flush empties onto the host's disk.
func driveArgs(drive disk.Drive, bus int) ([]string, error) {
	file, node := fileNode(drive.Path, drive.ReadOnly)
	if drive.Format == disk.FormatQCOW2 {
		node["driver"] = "qcow2"
		_, node["backing"] = fileNode(drive.Backing, true)
	}
	device := mmio("virtio-blk-device", bus) + ",drive=" + string(drive.Slot) + ",serial=" + string(drive.Slot)
	if !drive.ReadOnly {
		file["discard"], node["discard"] = "unmap", "unmap"
		// A full host stops the guest instead of failing its writes.
		device += ",write-cache=on,werror=stop,rerror=stop"
	}
	var args []string
	if l := drive.Limit; l != (disk.Limit{}) {
		group := "limit-" + string(drive.Slot)
		limits, err := json.Marshal(object{
			"qom-type": "throttle-group", "id": group,
			"limits": object{"bps-total": l.BytesPerSecond, "iops-total": l.OpsPerSecond},
		})
		if err != nil {
			return nil, fmt.Errorf("describing the limits of drive %s: %w", drive.Slot, err)
		}
		args = append(args, "-object", string(limits))
		node = object{"driver": "throttle", "throttle-group": group, "file": node, "read-only": drive.ReadOnly}
		if !drive.ReadOnly {
			node["discard"] = "unmap"
		}
	}
	node["node-name"] = string(drive.Slot)
	out, err := json.Marshal(node)
	if err != nil {
		return nil, fmt.Errorf("describing drive %s: %w", drive.Slot, err)
	}
	return append(args, "-blockdev", string(out), "-device", device), nil
}

// fileNode describes a file, and what reads it as it is.
func fileNode(path string, readOnly bool) (file, node object) {
	cache := object{"direct": false, "no-flush": false}
	file = object{"driver": "file", "filename": path, "aio": "threads", "locking": "on", "cache": cache, "read-only": readOnly}
	return file, object{"driver": "raw", "file": file, "cache": cache, "read-only": readOnly}
}

// cardMTU is the MTU of a card whose frames the monitor carries.
const cardMTU = network.MaxMTU

// networkArgs are the arguments of the network card.
func networkArgs(net network.Attachment) ([]string, error) {
	var netdev string
	switch net.Backend {
	case network.BackendNone, "":
		return nil, nil
	case network.BackendFrames:
		// It takes one connection after the other.
		netdev = fmt.Sprintf("stream,id=net,server=on,addr.type=fd,addr.str=%d", fdLink)
	case network.BackendBuiltin:
		// The guest reaches whatever this host's user reaches, and 10.0.2.2
		// is the host's own loopback.
		netdev = "user,id=net"
	default:
		return nil, fmt.Errorf("the network backend %q: %w", net.Backend, vmm.ErrUnsupported)
	}
	device := mmio("virtio-net-device", busNetwork) + ",netdev=net"
	if net.Backend == network.BackendFrames {
		// Whatever a guest sends or gets, each frame costs the same.
		device += fmt.Sprintf(",host_mtu=%d", cardMTU)
	}
	if net.MAC != "" {
		device += ",mac=" + comma(net.MAC)
	}
	return []string{"-netdev", netdev, "-device", device}, nil
}

func mmio(device string, bus int) string {
	return fmt.Sprintf("%s,bus=virtio-mmio-bus.%d", device, bus)
}

// comma keeps a comma from ending an option's value.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

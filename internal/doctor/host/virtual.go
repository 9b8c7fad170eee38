package host

import (
	"bufio"
	"bytes"
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/doctor"
)

const kvm = "dev/kvm"

func virtual(f Facts) []doctor.Check {
	return []doctor.Check{
		{Name: "cpu", Theme: themeVirtual, Look: f.cpu},
		{Name: "kvm", Theme: themeVirtual, Look: f.kvm},
		{Name: "kvm-group", Theme: themeVirtual, Look: f.kvmGroup},
		{Name: "tun", Theme: themeVirtual, Look: f.tun},
	}
}

// modules of KVM by the flag of the processors that they are for.
var modules = map[string]string{"vmx": "kvm_intel", "svm": "kvm_amd"}

// flag is the processor's flag of virtualisation; "" if it has none.
func (f Facts) flag() string {
	text, err := fs.ReadFile(f.Root, "proc/cpuinfo")
	if err != nil {
		return ""
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			continue
		}
		for _, flag := range strings.Fields(value) {
			if modules[flag] != "" {
				return flag
			}
		}
		return "" // all processors are alike
	}
	return ""
}

func (f Facts) cpu(context.Context) doctor.Finding {
	switch flag := f.flag(); {
	case flag != "":
		return doctor.Good("the processor has virtualisation (%s)", flag)
	case f.there(kvm): // of another architecture, or hidden by a hypervisor
		return doctor.Good("there is /dev/kvm")
	}
	return doctor.Bad(doctor.Warn, doctor.Fix{
		Command: "systemctl reboot --firmware-setup",
		Hint:    "Switch on VT-x or AMD-V there; in a VM, its host must allow nested virtualisation. Without it VMs run on QEMU, slowly.",
	}, "the processor offers no virtualisation")
}

func (f Facts) kvm(context.Context) doctor.Finding {
	why := f.KVM()
	if why == "" {
		return doctor.Good("/dev/kvm opens")
	}
	fix := doctor.Fix{Hint: "Without KVM, VMs run on QEMU, slowly."}
	switch module := modules[f.flag()]; {
	case f.there(kvm) && f.UID != 0:
		fix.Command = f.KVMGrant(f.User)
		fix.Hint = "Log in again after it. " + fix.Hint
	case !f.there(kvm) && module != "":
		fix.Command = "sudo modprobe " + module
	}
	return doctor.Bad(doctor.Warn, fix, "%s", why)
}

// group is who owns the device besides root; ok is false where that is not known.
func (f Facts) group() (gid int, ok bool) {
	info, err := fs.Stat(f.Root, kvm)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Gid), true
}

// groupOf is the name of a group, and its members by /etc/group.
func (f Facts) groupOf(gid int) (name string, members []string) {
	for line := range strings.Lines(f.line("etc/group")) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[2] == strconv.Itoa(gid) {
			return fields[0], strings.Split(fields[3], ",")
		}
	}
	return "", nil
}

// kvmGroup finds the user who has been added to the group, and has not logged
// in since.
func (f Facts) kvmGroup(context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	gid, ok := f.group()
	if !ok {
		return doctor.Skipped("there is no /dev/kvm")
	}
	name, members := f.groupOf(gid)
	groups, err := f.Groups()
	switch {
	case err != nil:
		return doctor.Broken(doctor.Warn, err)
	case slices.Contains(groups, gid):
		return doctor.Good("this session is in the group %s", name)
	case slices.Contains(members, f.User):
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "newgrp " + name, Hint: "Or log in again; a daemon that runs already keeps its groups: banger daemon stop."},
			"%s is in the group %s, but not in this session yet", f.User, name)
	case f.KVM() == "": // an ACL, as logind gives one
		return doctor.Good("/dev/kvm opens without its group")
	}
	return doctor.Bad(doctor.Warn, doctor.Fix{Command: f.KVMGrant(f.User), Hint: "Log in again after it."},
		"%s is not in a group whose members may open /dev/kvm", f.User)
}

func (f Facts) tun(context.Context) doctor.Finding {
	why := f.TUN()
	if why == "" {
		return doctor.Good("/dev/net/tun opens")
	}
	fix := doctor.Fix{Command: "sudo modprobe tun", Hint: "Without it Firecracker's VMs have no network; QEMU's do."}
	if f.there("dev/net/tun") {
		fix.Command = "sudo modprobe tun && sudo chmod 0666 /dev/net/tun"
	}
	return doctor.Bad(doctor.Warn, fix, "%s", why)
}

package host

import (
	"context"
	"fmt"
	"strconv"

	"github.com/banger-vm/banger/internal/doctor"
)

func isolation(f Facts) []doctor.Check {
	return []doctor.Check{
		{Name: "landlock", Theme: themeIsolation, Look: f.landlock},
		{Name: "user-namespaces", Theme: themeIsolation, Look: f.userNamespaces},
		{Name: "namespace-limit", Theme: themeIsolation, Look: f.namespaceLimit},
		{Name: "apparmor-namespaces", Theme: themeIsolation, Look: f.apparmor},
		{Name: "cgroup-v2", Theme: themeIsolation, Look: f.cgroups},
	}
}

func (f Facts) landlock(context.Context) doctor.Finding {
	err := f.Landlock()
	if err == nil {
		return doctor.Good("monitors are confined by Landlock")
	}
	modules := f.line("sys/kernel/security/lsm")
	if modules == "" {
		modules = "capability"
	}
	fix := kernelArgument("landlock", "lsm=landlock,"+modules)
	fix.Hint += " The kernel must be 5.13 or later. Without Landlock monitors reach all of your files."
	return doctor.Bad(doctor.Warn, fix, "%v", err)
}

// sysctl makes a setting now, and for later boots.
func sysctl(name, value string) doctor.Fix {
	return doctor.Fix{
		Command: fmt.Sprintf("echo %s=%s | sudo tee /etc/sysctl.d/60-banger-%s.conf && sudo sysctl %s=%s", name, value, name, name, value),
		Hint:    "Without user namespaces an ordinary user can make no image, and Firecracker is not enclosed.",
	}
}

func (f Facts) userNamespaces(context.Context) doctor.Finding {
	switch {
	case !f.there("proc/self/ns/user"):
		return doctor.Bad(doctor.Warn, install("linux-image-amd64"), "this kernel has no user namespaces")
	case f.UID == 0:
		return doctor.Good("root may make them")
	case f.line("proc/sys/kernel/unprivileged_userns_clone") == "0":
		return doctor.Bad(doctor.Fail, sysctl("kernel.unprivileged_userns_clone", "1"), "ordinary users may make no user namespaces")
	}
	return doctor.Good("ordinary users may make user namespaces")
}

// fewNamespaces is less than some VMs and an image in the making need.
const fewNamespaces = 256

func (f Facts) namespaceLimit(context.Context) doctor.Finding {
	for _, kind := range []string{"user", "mnt", "pid", "net"} {
		name := "max_" + kind + "_namespaces"
		text := f.line("proc/sys/user/" + name)
		if n, err := strconv.Atoi(text); err == nil && n < fewNamespaces {
			return doctor.Bad(doctor.Fail, sysctl("user."+name, "10000"), "user.%s is only %d", name, n)
		}
	}
	return doctor.Good("there may be %s user namespaces", f.line("proc/sys/user/max_user_namespaces"))
}

func (f Facts) apparmor(context.Context) doctor.Finding {
	if skip, root := f.notRoot(); root {
		return skip
	}
	const setting = "kernel.apparmor_restrict_unprivileged_userns"
	if f.line("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return doctor.Bad(doctor.Fail, sysctl(setting, "0"), "AppArmor takes the rights out of ordinary users' namespaces")
	}
	return doctor.Good("AppArmor leaves user namespaces alone")
}

func (f Facts) cgroups(context.Context) doctor.Finding {
	if f.there("sys/fs/cgroup/cgroup.controllers") {
		return doctor.Good("control groups are of version 2")
	}
	fix := kernelArgument("cgroup", "systemd.unified_cgroup_hierarchy=1")
	fix.Hint += " Without it the units of VMs are not told apart by all of systemd's tools."
	return doctor.Bad(doctor.Warn, fix, "control groups are not (only) of version 2")
}

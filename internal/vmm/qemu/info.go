package qemu

import (
	"context"
	"fmt"
	"regexp"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

var versionLine = regexp.MustCompile(`version (\d+(?:\.\d+)+)`)

// GuestDrivers are those of the agent's channel, a port, and the only entry by
// which its microvm starts a vmlinux.
func GuestDrivers() []string { return []string{vmm.PVH, "virtio_console"} }

// Info looks for QEMU, and boots a tiny guest with KVM unless the verdict of
// an earlier one stands.
func (d *Driver) Info(ctx context.Context) (vmm.Info, error) {
	path, err := d.binary()
	if err != nil {
		return vmm.Info{}, err
	}
	identity, err := kvmprobe.FileIdentity(path)
	if err != nil {
		return vmm.Info{}, fmt.Errorf("looking at QEMU: %w", err)
	}
	version, err := d.versionOf(ctx, path, identity)
	if err != nil {
		return vmm.Info{}, err
	}
	kvm, err := d.kvmReason(ctx, d.cfg.ProbeKernel, d.cfg.ProbeInitramfs)
	if err != nil {
		return vmm.Info{}, err
	}
	info := vmm.Info{
		Name: DriverName, Version: version, Path: path,
		Accels:    map[vmm.Accel]string{vmm.AccelTCG: "", vmm.AccelKVM: kvm},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelTCG: isolation(vmm.AccelTCG), vmm.AccelKVM: isolation(vmm.AccelKVM)},
		Networks:  []network.Backend{network.BackendNone, network.BackendFrames},

		Formats:      []disk.Format{disk.FormatQCOW2},
		GuestDrivers: GuestDrivers(),
	}
	if !atLeast(version, 7, 2) {
		info.Networks = info.Networks[:1]
		info.Lacks = map[network.Backend]string{network.BackendFrames: "QEMU 7.2 or later is needed for it, this is " + version}
	}
	return info, nil
}

// versionOf asks once for each QEMU that is installed while we live.
func (d *Driver) versionOf(ctx context.Context, path, identity string) (string, error) {
	d.mu.Lock()
	known, ok := d.version[identity]
	d.mu.Unlock()
	if ok {
		return known, nil
	}
	res, err := d.runner.Run(ctx, hostexec.Cmd{Name: path, Args: []string{"--version"}})
	if err != nil {
		return "", fmt.Errorf("asking QEMU for its version: %w", err)
	}
	found := versionLine.FindSubmatch(res.Stdout)
	if found == nil {
		return "", fmt.Errorf("QEMU's version is not understood: %q", hostexec.LastLine(res.Stdout))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version[identity] = string(found[1])
	return d.version[identity], nil
}

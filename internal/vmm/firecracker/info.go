package firecracker

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

var versionLine = regexp.MustCompile(`(?m)^Firecracker (v\S{1,60})$`)

// GuestDrivers are those of the agent's channel.
func GuestDrivers() []string { return []string{"vmw_vsock_virtio_transport"} }

// Info looks for Firecracker, and boots a tiny guest unless the verdict of an
// earlier one stands.
func (d *Driver) Info(ctx context.Context) (vmm.Info, error) {
	path, err := d.binary()
	if err != nil {
		return vmm.Info{}, err
	}
	version, err := d.versionOf(ctx, path)
	if err != nil {
		return vmm.Info{}, err
	}
	kvm, err := d.kvm.Reason(ctx, path, d.cfg.ProbeKernel, d.cfg.ProbeInitramfs)
	if err != nil {
		return vmm.Info{}, err
	}
	info := vmm.Info{
		Name: DriverName, Version: version.String(), Path: path,
		Accels:    map[vmm.Accel]string{vmm.AccelKVM: kvm, vmm.AccelTCG: "Firecracker has no TCG"},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelKVM: d.isolation(path)},
		Networks:  []network.Backend{network.BackendNone, network.BackendFrames},

		GuestDrivers: GuestDrivers(),
	}
	if why := d.lacksCard(); why != "" {
		info.Networks = info.Networks[:1]
		info.Lacks = map[network.Backend]string{network.BackendFrames: why}
	}
	return info, nil
}

// isolation is what a machine can expect: what the last one had, or the guest of
// a probe, or what is tried first.
func (d *Driver) isolation(path string) vmm.Isolation {
	if d.whyReduced() != "" {
		return vmm.IsolationSandbox
	}
	if seen := d.kvm.Isolation(path, d.cfg.ProbeKernel); seen != "" {
		return seen
	}
	return vmm.IsolationNamespaces
}

// versionOf asks once for each Firecracker that is installed while we live.
func (d *Driver) versionOf(ctx context.Context, path string) (fcapi.Version, error) {
	identity, err := kvmprobe.FileIdentity(path)
	if err != nil {
		return fcapi.Version{}, fmt.Errorf("looking at Firecracker: %w", err)
	}
	d.mu.Lock()
	v, ok := d.version[identity]
	d.mu.Unlock()
	if ok {
		return v, checkVersion(v)
	}
	res, err := d.runner.Run(ctx, hostexec.Cmd{Name: path, Args: []string{"--version"}})
	if err != nil {
		return v, fmt.Errorf("asking Firecracker for its version: %w", err)
	}
	found := versionLine.FindSubmatch(res.Stdout)
	if found == nil {
		return v, fmt.Errorf("%s does not tell a version of Firecracker: %q", path, hostexec.LastLine(res.Stdout))
	}
	if v, err = fcapi.ParseVersion(string(found[1])); err != nil {
		return v, err
	}
	d.mu.Lock()
	d.version[identity] = v
	d.mu.Unlock()
	return v, checkVersion(v)
}

// bootProbe starts the guest of a probe.
func (d *Driver) bootProbe(ctx context.Context, spec vmm.Spec) (vmm.Machine, error) {
	m, err := d.launch(ctx, spec)
	var refused *fcapi.Error
	if errors.Is(err, errEnded) || errors.As(err, &refused) {
		return nil, fmt.Errorf("%w with Firecracker: %w", kvmprobe.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

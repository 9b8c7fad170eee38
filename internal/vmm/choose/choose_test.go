package choose_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

// guest is a kernel to try KVM with.
var guest = choose.Guest{Kernel: "/vmlinux", Initramfs: "/initramfs"}

const noAccess = "this user may not open /dev/kvm; sudo usermod -aG kvm $USER, then log in again, changes that"

// host is a computer with two VMMs: "small", which needs KVM and has no
// network but none, and "big", which has TCG and NAT besides.
type host struct {
	device string            // why /dev/kvm does not open, "" if it does
	tried  map[string]string // what the tiny guest tells of each VMM, "" for works
	err    map[string]error  // of looking at one
	boots  []string          // whose tiny guest was booted
}

func (h *host) look(_ context.Context, name string, g choose.Guest) (vmm.Info, error) {
	if err := h.err[name]; err != nil {
		return vmm.Info{}, err
	}
	kvm := h.device
	if kvm == "" && g == (choose.Guest{}) {
		kvm = vmm.NotTried
	} else if kvm == "" {
		kvm = h.tried[name]
		h.boots = append(h.boots, name)
	}
	info := vmm.Info{
		Name: name, Version: "1", Path: "/" + name,
		Accels:    map[vmm.Accel]string{vmm.AccelKVM: kvm, vmm.AccelTCG: ""},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelKVM: vmm.IsolationSandbox, vmm.AccelTCG: vmm.IsolationNoPromise},
		Networks:  []network.Backend{network.BackendNone, network.BackendFrames},

		GuestDrivers: []string{name + "_port"},
	}
	if name == "small" {
		info.Accels[vmm.AccelTCG] = "small has no TCG"
		info.Isolation = map[vmm.Accel]vmm.Isolation{vmm.AccelKVM: vmm.IsolationNamespaces}
		info.Networks = info.Networks[:1]
	} else {
		info.Formats = []disk.Format{disk.FormatQCOW2}
	}
	return info, nil
}

func (h *host) chooser(def string) *choose.Chooser {
	return &choose.Chooser{
		Order: []string{"small", "big"}, Default: def, Look: h.look,
		Networks: map[string][]network.Backend{"none": {network.BackendNone}, "user": {network.BackendFrames}},
	}
}

func missing(name string) error {
	return fault.New(fault.Precondition, "Install it.", "%s is needed to run this VM: %w", name, fmt.Errorf("%s %w", name, hostexec.ErrNotInstalled))
}

func TestChoose(t *testing.T) {
	old := fault.New(fault.Precondition, "Install a newer one.", "small 1.1 is too old")
	for _, tc := range []struct {
		name  string
		host  host
		def   string
		want  choose.Want
		vmm   string
		accel vmm.Accel
		why   string // or the refusal, where vmm is ""
		hint  string
		boots string
	}{
		{name: "the first that works", want: choose.Want{Network: "none"}, vmm: "small", accel: vmm.AccelKVM, why: "chosen: small works with KVM", boots: "small"},
		{name: "it lacks the network", want: choose.Want{Network: "user"}, vmm: "big", accel: vmm.AccelKVM, why: `chosen: small has no network "user"`, boots: "big"},
		{
			name: "KVM works with the other alone", host: host{tried: map[string]string{"small": "a tiny guest printed nothing"}}, want: choose.Want{Network: "none"},
			vmm: "big", accel: vmm.AccelKVM, why: "chosen: small cannot run this VM here: a tiny guest printed nothing", boots: "small big",
		},
		{
			name: "KVM works with none", host: host{device: noAccess}, want: choose.Want{Network: "none"},
			vmm: "big", accel: vmm.AccelTCG, why: "chosen: small cannot run this VM here: " + noAccess,
		},
		{
			name: "it is not installed", host: host{err: map[string]error{"small": missing("small")}}, want: choose.Want{Network: "none"},
			vmm: "big", accel: vmm.AccelKVM, why: "chosen: small is not installed", boots: "big",
		},
		{
			name: "it is too old", host: host{err: map[string]error{"small": old}}, want: choose.Want{Network: "none"},
			vmm: "big", accel: vmm.AccelKVM, why: "chosen: small does not work here: small 1.1 is too old", boots: "big",
		},
		{name: "TCG is wanted", want: choose.Want{Network: "none", Accel: vmm.AccelTCG}, vmm: "big", accel: vmm.AccelTCG, why: "chosen: small cannot run this VM here: small has no TCG"},
		{
			name: "KVM is wanted and works with none", host: host{device: noAccess}, want: choose.Want{Network: "none", Accel: vmm.AccelKVM},
			why: "no VMM here can run this VM: small cannot run this VM here: " + noAccess, hint: "banger vmm ls",
		},
		{
			name: "none is there", host: host{err: map[string]error{"small": missing("small"), "big": missing("big")}}, want: choose.Want{Network: "none"},
			why: "no VMM here can run this VM: small is not installed; big is not installed", hint: "Install it.",
		},
		{name: "asked for", want: choose.Want{VMM: "big", Network: "none"}, vmm: "big", accel: vmm.AccelKVM, why: "asked for", boots: "big"},
		{
			name: "asked for, without KVM", host: host{tried: map[string]string{"big": "nothing came"}}, want: choose.Want{VMM: "big", Network: "none"},
			vmm: "big", accel: vmm.AccelTCG, why: "asked for", boots: "big",
		},
		{name: "asked for, without the network", want: choose.Want{VMM: "small", Network: "user"}, why: `small has no network "user"`, hint: "Use --network none, or --vmm auto."},
		{name: "asked for, without access", host: host{device: noAccess}, want: choose.Want{VMM: "small", Network: "none"}, why: "may not open /dev/kvm; sudo usermod -aG kvm", hint: "banger vmm ls"},
		{name: "asked for, and missing", host: host{err: map[string]error{"small": missing("small")}}, want: choose.Want{VMM: "small", Network: "none"}, why: "small is not installed", hint: "Install it."},
		{name: "its kernel lacks what the first needs", want: choose.Want{Network: "none", Kernel: "k", Lacks: []string{"x", "small_port"}}, vmm: "big", accel: vmm.AccelKVM, why: "chosen: the kernel k lacks small_port, which small needs", boots: "big"},
		{name: "its kernel lacks what the asked for needs", want: choose.Want{VMM: "small", Network: "none", Kernel: "k", Lacks: []string{"small_port"}}, why: "the kernel k lacks small_port, which small needs", hint: "--vmm auto"},
		{
			name: "its kernel lacks what each needs", want: choose.Want{Network: "none", Kernel: "k", Lacks: []string{"small_port", "big_port"}},
			why: "no VMM here can run this VM: the kernel k lacks small_port, which small needs; the kernel k lacks big_port, which big needs", hint: "another kernel",
		},
		{name: "it does not read the root", want: choose.Want{Network: "none", DiskDriver: "d", Format: disk.FormatQCOW2}, vmm: "big", accel: vmm.AccelKVM, why: "chosen: small cannot read the root that the disk driver d makes", boots: "big"},
		{name: "the asked for does not read the root", want: choose.Want{VMM: "small", Network: "none", DiskDriver: "d", Format: disk.FormatQCOW2}, why: "small cannot read the root that the disk driver d makes", hint: "--vmm auto"},
		{name: "unknown", want: choose.Want{VMM: "xen", Network: "none"}, why: `there is no VMM "xen"`, hint: "Use auto or one of: small, big."},
		{name: "set", def: "big", want: choose.Want{Network: "none"}, vmm: "big", accel: vmm.AccelKVM, why: "set in config.toml", boots: "big"},
		{name: "set, and auto asked for", def: "big", want: choose.Want{VMM: choose.Auto, Network: "none"}, vmm: "small", accel: vmm.AccelKVM, why: "chosen: small works with KVM", boots: "small"},
		{name: "set to what lacks the network", def: "small", want: choose.Want{Network: "user"}, why: `small has no network "user"`, hint: "--vmm auto"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Guest = guest
			got, err := tc.host.chooser(tc.def).Choose(t.Context(), tc.want)
			if boots := strings.Join(tc.host.boots, " "); boots != tc.boots {
				t.Errorf("it booted a guest with %q, not %q", boots, tc.boots)
			}
			if tc.vmm == "" {
				f := fault.From(err)
				if err == nil || f.Kind == fault.Internal || !strings.Contains(f.Message, tc.why) || !strings.Contains(f.Hint, tc.hint) {
					t.Errorf("Choose = %+v, %+v", got, f)
				}
				return
			}
			isolation := map[string]vmm.Isolation{"small kvm": vmm.IsolationNamespaces, "big kvm": vmm.IsolationSandbox, "big tcg": vmm.IsolationNoPromise}
			want := choose.Choice{VMM: tc.vmm, Why: tc.why, Accel: tc.accel, Isolation: isolation[tc.vmm+" "+string(tc.accel)]}
			if err != nil || got != want {
				t.Errorf("Choose = %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

// Before anything is made nothing may be booted either, and what can only be
// found out by that is no reason to refuse.
func TestCheckBootsNothing(t *testing.T) {
	h := host{tried: map[string]string{"small": "broken", "big": "broken"}}
	for _, w := range []choose.Want{{Network: "none"}, {VMM: "small", Network: "none"}, {VMM: "big", Network: "user", Accel: vmm.AccelKVM}} {
		w.Guest = guest
		if err := h.chooser("").Check(t.Context(), w); err != nil {
			t.Errorf("%+v: %v", w, err)
		}
	}
	if err := h.chooser("").Check(t.Context(), choose.Want{VMM: "small", Network: "user", Guest: guest}); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a network that it lacks: %v", err)
	}
	if len(h.boots) > 0 {
		t.Errorf("it booted guests with %v", h.boots)
	}
}

func TestChooseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := (&host{}).chooser("")
	c.Look = func(ctx context.Context, _ string, _ choose.Guest) (vmm.Info, error) {
		cancel()
		return vmm.Info{}, context.Cause(ctx)
	}
	if _, err := c.Choose(ctx, choose.Want{Network: "none"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Choose = %v", err)
	}
}

func TestSeeNamesWhatIsMissing(t *testing.T) {
	h := host{err: map[string]error{"small": missing("small"), "big": errors.New("broken")}}
	_, err := h.chooser("").See(t.Context(), "small", guest)
	if f := fault.From(err); f.Message != "small is not installed" || f.Hint != "Install it." || !errors.Is(err, hostexec.ErrNotInstalled) {
		t.Errorf("one that is missing: %+v", f)
	}
	if _, err := h.chooser("").See(t.Context(), "big", guest); err == nil || err.Error() != "big does not work here: broken" {
		t.Errorf("one that is broken: %v", err)
	}
}

func TestNetworksOf(t *testing.T) {
	h := host{}
	for name, want := range map[string][]string{"small": {"none"}, "big": {"none", "user"}} {
		info, err := h.look(t.Context(), name, choose.Guest{})
		if got := h.chooser("").NetworksOf(info); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %v, %v", name, got, err)
		}
	}
}

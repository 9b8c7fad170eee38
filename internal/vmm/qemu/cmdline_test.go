package qemu

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

var update = flag.Bool("update", false, "write the golden files")

func goldenSpec() vmm.Spec {
	return vmm.Spec{
		Name: "dev", Dir: "/state/vms/dev", CPUs: 2, MemoryBytes: 1 << 30,
		Kernel: "/state/kernels/k/vmlinux", Initramfs: "/state/kernels/k/initramfs",
		Cmdline: []string{"banger.root=cow", "banger.user=dev"},
		Drives: []disk.Drive{
			{Slot: disk.SlotBase, Path: "/state/images/a,b \"c\".img", ReadOnly: true},
			{Slot: disk.SlotWork, Path: "work.img"},
			{Slot: disk.SlotLayer, Path: "layer.cow"},
			{Slot: disk.SlotModules, Path: "/state/kernels/k/modules.ext4", ReadOnly: true},
		},
		Network: network.Attachment{Backend: network.BackendFrames, MAC: "52:54:00:12:34:56"},
	}
}

func TestCommandLine(t *testing.T) {
	for name, accel := range map[string]vmm.Accel{"tcg": vmm.AccelTCG, "kvm": vmm.AccelKVM, "qcow2": vmm.AccelTCG} {
		t.Run(name, func(t *testing.T) {
			spec := goldenSpec()
			if name == "qcow2" {
				spec.Drives[0] = disk.Drive{Slot: disk.SlotBase, Path: "root.qcow2", Format: disk.FormatQCOW2, Backing: "/state/images/a,b \"c\".img"}
			}
			if accel == vmm.AccelKVM {
				spec.Network = network.Attachment{Backend: network.BackendNone}
				spec.Drives[1].Limit = disk.Limit{BytesPerSecond: 100 << 20, OpsPerSecond: 5000}
			}
			args, err := commandLine(spec, record{Accel: accel, Turns: accel == vmm.AccelTCG}, kernelCmdline(spec, accel, 2596142))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(strings.Join(args, "\n")+"\n", "\n-", "\n\n-")
			file := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the command line changed (-update writes it):\n%s", diff)
			}
		})
	}
}

func TestUnknownNetworkBackend(t *testing.T) {
	spec := goldenSpec()
	spec.Network.Backend = "tap"
	if _, err := commandLine(spec, record{Accel: vmm.AccelTCG}, ""); err == nil {
		t.Error("an unknown network backend makes a command line")
	}
}

package monitor

import (
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
	"github.com/banger-vm/banger/internal/vmm"
)

// What a VMM opens of drives that lie outside the VM's directory it may open, and
// no more than it must.
func TestRulesForDrives(t *testing.T) {
	l := machine.Launch{Spec: vmm.Spec{Dir: "/vms/1", Kernel: "/k", Initramfs: "/i", Drives: []disk.Drive{
		{Slot: disk.SlotBase, Path: "root.qcow2", Format: disk.FormatQCOW2, Backing: "/images/1/root.img"},
		{Slot: disk.SlotWork, Path: "work.img"},
		{Slot: disk.SlotModules, Path: "/kernels/1/modules", ReadOnly: true},
	}}}
	rules := rulesFor(l, nil, []string{"/bin/vmm"})
	for _, want := range []sandbox.Rule{
		{Path: "/vms/1", Access: sandbox.Write},
		{Path: "/images/1/root.img", Access: sandbox.Read},
		{Path: "/kernels/1/modules", Access: sandbox.Read},
		{Path: "/bin/vmm", Access: sandbox.Exec},
	} {
		if !slices.Contains(rules, want) {
			t.Errorf("there is no rule %+v", want)
		}
	}
	for _, r := range rules {
		if r.Path == "root.qcow2" || r.Path == "work.img" || r.Path == "" {
			t.Errorf("there is a rule %+v", r)
		}
	}
}

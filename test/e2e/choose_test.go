package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
)

// hostOnly skips a test that needs a KVM that runs guests.
func hostOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		t.Skip("KVM runs no guest here; make test-host runs this")
	}
}

// Where KVM works, the VMM follows from what is asked for, and a VM stays on
// it until it is told to move.
func TestRealChoosing(t *testing.T) {
	hostOnly(t)
	e, body := withoutFirecracker(t)
	url, _, _ := releases(t, body)
	e.ok(t, "vmm", "install", "firecracker", "--from", url, "--sha256", sumOf(body))
	e.ok(t, "run", "-d", "-n", "small", "--network", "none", "debian")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "small") })
	if out := e.ok(t, "exec", "small", "--", "cat", "/proc/sys/kernel/osrelease"); !strings.HasPrefix(out, "6.1.") {
		t.Errorf("the VM says %q", out)
	}
	accels := map[string]api.VMMAccel{}
	for name, v := range e.vmms(t) {
		for _, a := range v.Accels {
			accels[name+" "+a.Name] = a
		}
	}
	if a := accels["firecracker kvm"]; !a.Works || a.Isolation != "namespaces" || !a.Default || a.Why != "firecracker works with KVM" {
		t.Errorf("firecracker with KVM: %+v", a)
	}
	if a := accels["qemu kvm"]; !a.Works || a.Default {
		t.Errorf("qemu with KVM: %+v", a)
	}

	if v := e.inspect(t, "small"); v.Spec.VMM != "firecracker" || v.VMMWhy != "chosen: firecracker works with KVM" || v.Isolation != "namespaces" || v.Boot.Accel != "kvm" {
		t.Errorf("without a network: %s (%s), %s", v.Spec.VMM, v.VMMWhy, v.Isolation)
	}
	e.refused(t, 4, []string{"firecracker runs small", "banger stop small"}, "vmm", "rm", "firecracker")
	e.ok(t, "kill", "small")
	e.ok(t, "create", "-n", "usual")
	if v := e.inspect(t, "usual"); v.Spec.VMM != "firecracker" || v.VMMWhy != "chosen: firecracker works with KVM" || v.Isolation != "namespaces" {
		t.Errorf("with the usual network: %s (%s), %s", v.Spec.VMM, v.VMMWhy, v.Isolation)
	}
	e.ok(t, "rm", "-f", "usual")

	if r := e.banger(t, "vmm", "rm", "firecracker"); r.code != 0 || !strings.Contains(r.stderr, "small") {
		t.Errorf("vmm rm: %s", r)
	}
	e.refused(t, 5, []string{"firecracker is not installed", "banger start --vmm auto small"}, "start", "small")
	e.ok(t, "start", "--vmm", "auto", "small")
	if v := e.inspect(t, "small"); v.Spec.VMM != "qemu" || v.VMMWhy != "chosen: firecracker is not installed" || v.Boot.VMM != "qemu" {
		t.Errorf("moved: %s (%s), the boot is %+v", v.Spec.VMM, v.VMMWhy, v.Boot)
	}
	if out := e.ok(t, "exec", "small", "--", "cat", "/proc/sys/kernel/osrelease"); !strings.HasPrefix(out, "6.1.") {
		t.Errorf("the moved VM says %q", out)
	}
	e.ok(t, "rm", "-f", "small")
	await(t, "nothing to be left", func() bool { return len(e.residue(t)) == 0 })
}

package qemu_test

import (
	"os"
	"testing"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// scriptedSpec is a machine that runs the suite's guest.
func scriptedSpec(t *testing.T, dir string, cmdline ...string) vmm.Spec {
	t.Helper()
	return completed(lab.Spec(t, dir, cmdline...))
}

// completed gives a machine a network and its accelerator: TCG, but KVM in the
// test host, which is emulated itself.
func completed(spec vmm.Spec) vmm.Spec {
	spec.Accel = vmm.AccelTCG
	if lab.InHost() {
		// Its SVM is emulated, and with two processors some boots hang there
		// after the kernel's first messages; those of Firecracker do not.
		spec.Accel, spec.CPUs = vmm.AccelKVM, 1
	}
	spec.Network = network.Attachment{Backend: network.BackendFrames, MAC: "52:54:00:00:00:01"}
	return spec
}

func TestRealConformance(t *testing.T) {
	lab.Needs(t)
	h := vmmtest.Harness{
		Driver:      func(t *testing.T) vmm.Driver { return newDriver(t) },
		Spec:        func(t *testing.T) vmm.Spec { return scriptedSpec(t, lab.LongDir(t)) },
		KillOutside: lab.KillOutside,
		Drives:      lab.Drives,
	}
	if os.Getuid() == 0 {
		h.Full = func(t *testing.T) (vmm.Spec, func()) {
			spec, free := lab.FullHost(t, 0)
			return completed(spec), free
		}
	}
	vmmtest.Run(t, h)
}

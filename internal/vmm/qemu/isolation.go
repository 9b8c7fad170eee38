package qemu

import "github.com/banger-vm/banger/internal/vmm"

// isolation is what QEMU's makers stand for: a guest that breaks out of TCG is
// no security fault to them, the system call filter notwithstanding.
func isolation(accel vmm.Accel) vmm.Isolation {
	if accel == vmm.AccelTCG {
		return vmm.IsolationNoPromise
	}
	return vmm.IsolationSandbox
}

// reduced says what is weaker with this accelerator.
func reduced(accel vmm.Accel) []string {
	if accel == vmm.AccelTCG {
		return []string{"The guest runs under QEMU's TCG: slower than KVM, and QEMU makes no security promise for it."}
	}
	return nil
}

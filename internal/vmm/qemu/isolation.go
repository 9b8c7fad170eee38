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

// reduced says what is weaker here.
func reduced(rec record) (what []string) {
	if rec.Accel == vmm.AccelTCG {
		what = append(what, "The guest runs under QEMU's TCG: slower than KVM, and QEMU makes no security promise for it.")
	}
	if rec.Turns {
		what = append(what, "Its processors take turns on one of the host's: on several, a QEMU before 8.1 can hang.")
	}
	return what
}

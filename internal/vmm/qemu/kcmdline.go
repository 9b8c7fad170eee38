package qemu

import (
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/vmm"
)

// kernelCmdline is what the guest's kernel is told: what this machine needs,
// then banger's own arguments.
func kernelCmdline(spec vmm.Spec, accel vmm.Accel, tscKHz int64) string {
	args := []string{
		"console=ttyS0",
		// Errors and panics show; more would cost a second under TCG, where
		// each byte on the serial line is a trip through the emulator.
		"quiet", "loglevel=4",
		"panic=-1", "reboot=t", // a panic ends the machine as a reset does
		"8250.nr_uarts=1", "pci=off",
		"random.trust_cpu=on",
	}
	if accel == vmm.AccelTCG {
		args = append(args, "no_timer_check")
		if tscKHz > 0 {
			// QEMU gives all vCPUs one counter. Without "reliable" the kernel
			// drops it, at once with two vCPUs and on a busy host with one, and
			// counts timer ticks instead, which QEMU loses: a clock of 4 ms
			// steps that was seen to run 30 % slow.
			args = append(args, "tsc_early_khz="+strconv.FormatInt(tscKHz, 10), "tsc=reliable")
		}
	}
	return strings.Join(append(args, spec.Cmdline...), " ")
}

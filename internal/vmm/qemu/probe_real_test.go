package qemu_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// Whatever KVM does on this machine, the verdict must be right: a VM that
// trusts it must boot.
func TestRealKVMVerdictHolds(t *testing.T) {
	spec := scriptedSpec(t, lab.LongDir(t), "banger.probe")
	spec.Accel = vmm.AccelAuto
	cfg := qemu.Config{CacheDir: t.TempDir(), ProbeKernel: spec.Kernel, ProbeInitramfs: spec.Initramfs}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	began := time.Now()
	info, err := qemu.New(hostexec.Host{}, log, cfg).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v after %v", info, time.Since(began))
	if info.Version == "" || info.Accels[vmm.AccelTCG] != "" {
		t.Errorf("Info = %+v", info)
	}
	began = time.Now()
	again, err := qemu.New(hostexec.Host{}, log, cfg).Info(t.Context())
	if err != nil || again.Accels[vmm.AccelKVM] != info.Accels[vmm.AccelKVM] {
		t.Errorf("the second Info = %+v, %v", again, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the second Info took %v: the verdict was not kept", took)
	}
	if _, err := os.Stat("/dev/kvm"); err != nil && info.Accels[vmm.AccelKVM] == "" {
		t.Error("KVM works without a device")
	}
	m := start(t, qemu.New(hostexec.Host{}, log, cfg), spec)
	readUntil(t, m, "BANGER-PROBE-OK")
	if got, works := m.Facts().Accel, info.Accels[vmm.AccelKVM] == ""; (got == vmm.AccelKVM) != works {
		t.Errorf("auto took %s", got)
	}
}

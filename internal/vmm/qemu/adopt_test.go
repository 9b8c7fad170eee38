package qemu

import (
	"bufio"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
	"github.com/banger-vm/banger/internal/vmm/rundir"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// realSpec is a machine for real QEMU that only ever prints: its kernel finds
// what it is told, or panics.
func realSpec(t *testing.T, cmdline ...string) vmm.Spec {
	t.Helper()
	spec := preparedSpec(t)
	kernel, initramfs := os.Getenv("BANGER_TEST_KERNEL"), os.Getenv("BANGER_TEST_INITRAMFS")
	if os.Getenv("BANGER_TEST_VM") != "1" || kernel == "" || initramfs == "" {
		t.Skip("real VMs are not asked for (BANGER_TEST_VM, BANGER_TEST_KERNEL, BANGER_TEST_INITRAMFS)")
	}
	spec.CPUs, spec.MemoryBytes, spec.Cmdline = 1, 256<<20, cmdline
	spec.Kernel, spec.Initramfs = kernel, initramfs
	return spec
}

// The starter is killed between fork and record: the next one finds the
// process by its lock, sets the guest going, and has its console from the
// first byte.
func TestRealAdoptionOfAHalfStartedVMM(t *testing.T) {
	spec := realSpec(t, "rdinit=/no/such/init", "root=/dev/none", "ignore_loglevel")
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	files, err := openFiles(spec.Dir)
	if err != nil {
		t.Fatal(err)
	}
	spec.CPUs = 2
	accel := vmm.AccelTCG
	if lab.InHost() {
		accel = vmm.AccelKVM
	}
	began := time.Now()
	rec, proc, err := New(hostexec.Host{}, log, Config{}).spawn(t.Context(), spec, accel, files)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill()
	files.close()
	if err := os.Remove(filepath.Join(spec.Dir, rundir.RecordFile)); err != nil {
		t.Fatal(err)
	}

	d := New(hostexec.Host{}, log, Config{})
	m, err := d.Connect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	f := m.Facts()
	if f.PID != rec.Process.PID || f.Accel != accel || f.Started.Sub(began).Abs() > time.Second {
		t.Errorf("Facts = %+v, began %v", f, began)
	}
	var again record
	if err := rundir.ReadRecord(spec.Dir, &again); err != nil || again.Process != rec.Process || again.Turns != rec.Turns {
		t.Errorf("the record that was made up for is %+v, %v", again, err)
	}
	console, err := m.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Minute, func() { console.Close() })
	lines := bufio.NewScanner(console)
	if !lines.Scan() || !strings.Contains(lines.Text(), "Linux version") {
		t.Errorf("the console begins with %q", lines.Text())
	}
	var said strings.Builder
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
	}
	if !strings.Contains(said.String(), "Kernel panic") {
		t.Errorf("a panic does not show on the console:\n%s", said.String())
	}
	if exit, err := m.Wait(t.Context()); err != nil || exit.Reason != vmm.ExitReset {
		t.Errorf("a panic ends with %+v, %v", exit, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Whether KVM works, hangs its guest in silence or is not there: there is a
// verdict in bounded time, and the second one comes from the cache.
func TestRealProbeOfAHangingGuest(t *testing.T) {
	spec := realSpec(t)
	// A processor model that guests hang with on hosts whose KVM is half there.
	dir := t.TempDir()
	wrapper := filepath.Join(dir, "qemu")
	script := "#!/bin/bash\nargs=(\"$@\")\nfor i in \"${!args[@]}\"; do [ \"${args[i]}\" = host ] && args[i]=qemu64; done\nexec qemu-system-x86_64 \"${args[@]}\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	d := New(hostexec.Host{}, slog.New(slog.NewTextHandler(t.Output(), nil)), Config{Binary: wrapper, CacheDir: dir})
	began := time.Now()
	reason, err := d.kvmReason(t.Context(), spec.Kernel, spec.Initramfs)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%q after %v", reason, took)
	if took > kvmprobe.Limit+2*time.Second {
		t.Errorf("the probe took %v", took)
	}
	began = time.Now()
	if again, err := d.kvmReason(t.Context(), spec.Kernel, spec.Initramfs); err != nil || again != reason || time.Since(began) > time.Second {
		t.Errorf("asked again: %q, %v after %v", again, err, time.Since(began))
	}
}

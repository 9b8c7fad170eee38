package qemu

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

func preparedSpec(t *testing.T) vmm.Spec {
	t.Helper()
	spec := goldenSpec()
	spec.Dir, spec.Accel = t.TempDir(), vmm.AccelTCG
	file := func(name string) string {
		path := filepath.Join(spec.Dir, name)
		if err := os.WriteFile(path, []byte("\x7fELF"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	spec.Kernel, spec.Initramfs = file("vmlinux"), file("initramfs")
	for i := range spec.Drives {
		spec.Drives[i].Path = string(spec.Drives[i].Slot)
		file(spec.Drives[i].Path)
	}
	return spec
}

func TestPrepare(t *testing.T) {
	d := New(&hostexec.Recorder{}, slog.New(slog.DiscardHandler), Config{Binary: "/bin/true"})
	if err := d.Prepare(t.Context(), preparedSpec(t)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*vmm.Spec){
		"1 to 288 vCPUs, not 0":      func(s *vmm.Spec) { s.CPUs = 0 },
		"1 to 288 vCPUs, not 500":    func(s *vmm.Spec) { s.CPUs = 500 },
		"at least 64 MiB":            func(s *vmm.Spec) { s.MemoryBytes = 1 << 20 },
		"in whole MiB":               func(s *vmm.Spec) { s.MemoryBytes++ },
		"more than this host's":      func(s *vmm.Spec) { s.MemoryBytes = 1 << 50 },
		"nowhere is missing":         func(s *vmm.Spec) { s.Kernel = s.Dir + "/nowhere" },
		"is no ELF file":             func(s *vmm.Spec) { s.Kernel = "/etc/passwd" },
		"not a regular file":         func(s *vmm.Spec) { s.Initramfs = s.Dir },
		"must be an absolute path":   func(s *vmm.Spec) { s.Initramfs = "initramfs" },
		"has 4 drives, not 3":        func(s *vmm.Spec) { s.Drives = s.Drives[:3] },
		"drive 1 must be vda":        func(s *vmm.Spec) { s.Drives[0].Slot = disk.SlotWork },
		"drive vdc":                  func(s *vmm.Spec) { s.Drives[2].Path = "none" },
		"the file below drive vda":   func(s *vmm.Spec) { s.Drives[0].Format = disk.FormatQCOW2 },
		"nothere is missing":         func(s *vmm.Spec) { s.Drives[0].Format, s.Drives[0].Backing = disk.FormatQCOW2, "/nothere" },
		"the file \"/b\" below":      func(s *vmm.Spec) { s.Drives[0].Backing = "/b" },
		"the format \"vmdk\"":        func(s *vmm.Spec) { s.Drives[0].Format = "vmdk" },
		"no accelerator \"warp\"":    func(s *vmm.Spec) { s.Accel = "warp" },
		"network backend \"pigeon\"": func(s *vmm.Spec) { s.Network.Backend = "pigeon" },
		"directory":                  func(s *vmm.Spec) { s.Dir += "-gone" },
	} {
		spec := preparedSpec(t)
		change(&spec)
		if err := d.Prepare(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Prepare = %v, want %q", err, want)
		}
	}
}

func TestMissingQEMUHasARemedy(t *testing.T) {
	d := New(&hostexec.Recorder{}, slog.New(slog.DiscardHandler), Config{Binary: "banger-no-such-qemu"})
	err := d.Prepare(t.Context(), preparedSpec(t))
	f := fault.From(err)
	if !errors.Is(err, hostexec.ErrNotInstalled) || f.Kind != fault.Precondition || f.Hint != hintInstall {
		t.Errorf("Prepare = %v, %+v", err, f)
	}
	if _, err := d.Info(t.Context()); !errors.Is(err, hostexec.ErrNotInstalled) {
		t.Errorf("Info = %v", err)
	}
}

// A VMM that ends at once leaves its last words, and nothing else.
func TestStartOfABrokenVMM(t *testing.T) {
	spec := preparedSpec(t)
	broken := filepath.Join(spec.Dir, "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho 'no luck today' >&2\nexit 4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := New(hostexec.Host{}, slog.New(slog.DiscardHandler), Config{Binary: broken})
	_, err := d.Start(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "exit code 4; its last words: no luck today") {
		t.Errorf("Start = %v", err)
	}
	for _, name := range []string{fileQMP, fileConsole, fileAgent, rundir.RecordFile} {
		if _, err := os.Lstat(filepath.Join(spec.Dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if _, err := d.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect = %v", err)
	}
}

// A VMM closes its sockets before it is gone: whoever connects in between is
// told that none runs, not that a connection failed.
func TestConnectToADyingVMM(t *testing.T) {
	spec := preparedSpec(t)
	dying := filepath.Join(spec.Dir, "dying")
	if err := os.WriteFile(dying, []byte("#!/bin/sh\nexec 4>&-\nsleep 0.2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := New(hostexec.Host{}, slog.New(slog.DiscardHandler), Config{Binary: dying})
	files, err := openFiles(spec.Dir)
	if err != nil {
		t.Fatal(err)
	}
	_, proc, err := d.spawn(t.Context(), spec, vmm.AccelKVM, files)
	files.close()
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill()
	if _, err := d.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("Connect = %v", err)
	}
}

package firecracker

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

var update = flag.Bool("update", false, "write the golden files")

func within(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
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
		t.Errorf("%s changed (-update writes it):\n%s", name, diff)
	}
}

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
	}
}

func TestSettings(t *testing.T) {
	for name, n := range map[string]names{"host": hostNames(goldenSpec()), "enclosed": innerNames()} {
		d, spec := New(hostexec.Host{}, slog.New(slog.DiscardHandler), Config{}), goldenSpec()
		if name == "enclosed" {
			for i := range spec.Drives {
				spec.Drives[i].Limit = disk.Limit{BytesPerSecond: 100 << 20, OpsPerSecond: 5000}
			}
			spec.Network = network.Attachment{Backend: network.BackendFrames, MAC: "52:54:00:12:34:56"}
		}
		var got strings.Builder
		for _, s := range d.settings(spec, n) {
			b, err := json.MarshalIndent(s.Body, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "PUT %s\n%s\n", s.Path, b)
		}
		golden(t, name, got.String())
	}
}

func TestPlan(t *testing.T) {
	spec := goldenSpec()
	if p := plan(spec); p.Wire != 0 {
		t.Errorf("a machine without a card has its wire at %d", p.Wire)
	}
	spec.Network.Backend = network.BackendFrames
	b, err := json.MarshalIndent(plan(spec), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan", string(b)+"\n")
}

func TestPrepare(t *testing.T) {
	d := fakeDriver(t, fakeBinary(t))
	if err := d.Prepare(t.Context(), fakeSpec(t)); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*vmm.Spec){
		"1 to 32 vCPUs, not 33":       func(s *vmm.Spec) { s.CPUs = 33 },
		"at least 64 MiB":             func(s *vmm.Spec) { s.MemoryBytes = 1 << 20 },
		"is no ELF file":              func(s *vmm.Spec) { s.Kernel = "/etc/passwd" },
		"has 4 drives, not 3":         func(s *vmm.Spec) { s.Drives = s.Drives[:3] },
		"Firecracker has no TCG":      func(s *vmm.Spec) { s.Accel = vmm.AccelTCG },
		"vda is in the format qcow2":  func(s *vmm.Spec) { s.Drives[0].Format, s.Drives[0].Backing = disk.FormatQCOW2, s.Kernel },
		"no accelerator \"warp\"":     func(s *vmm.Spec) { s.Accel = "warp" },
		"network backend \"builtin\"": func(s *vmm.Spec) { s.Network.Backend = network.BackendBuiltin },
		"command line has 3":          func(s *vmm.Spec) { s.Cmdline = []string{strings.Repeat("x", 3000)} },
	} {
		spec := fakeSpec(t)
		change(&spec)
		if err := d.Prepare(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Prepare = %v, want %q", err, want)
		}
	}
	d.device = func() string { return "this user may not open /dev/kvm" }
	if err := d.Prepare(t.Context(), fakeSpec(t)); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "may not open /dev/kvm") {
		t.Errorf("Prepare without KVM = %v", err)
	}
}

// A VMM has a network card only where the card's other end can be in its own
// network, and where TAPs can be made at all: who cannot is told what is missing.
func TestNetworkCardNeedsATAP(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	spec.Network.Backend = network.BackendFrames
	refused := func(want string) {
		t.Helper()
		if err := d.Prepare(t.Context(), spec); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), want) {
			t.Errorf("Prepare = %v, want %q", err, want)
		}
		info, err := d.Info(t.Context())
		if err != nil || slices.Contains(info.Networks, network.BackendFrames) || !strings.Contains(info.Lacks[network.BackendFrames], want) {
			t.Errorf("Info = %+v, %v", info, err)
		}
	}
	d.tun = func() string { return "" }
	refused("in this host's network")
	d.cfg.Stage = stage
	if err := d.Prepare(t.Context(), spec); err != nil {
		t.Errorf("with all that is needed: %v", err)
	}
	if info, err := d.Info(t.Context()); err != nil || !slices.Contains(info.Networks, network.BackendFrames) || len(info.Lacks) > 0 {
		t.Errorf("Info = %+v, %v", info, err)
	}
	d.tun = func() string { return wire.MissingAt("/no/such/device") }
	refused("this host has no /dev/net/tun")
}

func TestABinaryThatCannotRunHasARemedy(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// An ELF header of a 64-bit program for another processor (RISC-V).
	header := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xf3\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 28) +
		"\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00\x00"
	for binary, want := range map[string]string{
		"banger-no-such-vmm":                       "is not installed",
		write("plain", 0o600, "x"):                 "is no executable file",
		write("foreign", 0o700, header):            "is a program for EM_RISCV",
		write("other", 0o700, "#!/bin/sh\necho 1"): "does not tell a version",
	} {
		d := fakeDriver(t, binary)
		err := d.Prepare(t.Context(), fakeSpec(t))
		if (err == nil || !strings.Contains(err.Error(), want)) && !strings.Contains(binary, "other") {
			t.Errorf("Prepare = %v, want %q", err, want)
		}
		if f := fault.From(err); err != nil && f.Kind != fault.Internal && f.Hint == "" {
			t.Errorf("%v has no next step", err)
		}
		if _, err := d.Info(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Info = %v, want %q", err, want)
		}
	}
}

func TestHowAVMMEnds(t *testing.T) {
	dir := t.TempDir()
	known := func(code int) hostexec.Exit { return hostexec.Exit{Known: true, Code: code} }
	killed := hostexec.Exit{Known: true, Code: -1, Signal: syscall.SIGKILL}
	unknown := hostexec.Exit{}
	for name, c := range map[string]struct {
		exit   hostexec.Exit
		end    endCounts
		asked  string
		reason string
		detail string
	}{
		"reboot":               {known(0), endCounts{Resets: 1}, "", vmm.ExitReset, ""},
		"reboot, unseen":       {unknown, endCounts{Resets: 1}, "", vmm.ExitReset, ""},
		"triple fault":         {known(0), endCounts{}, "", vmm.ExitFault, "triple fault"},
		"seccomp":              {known(148), endCounts{}, "", vmm.ExitCrashed, "(seccomp) stopped it (exit code 148)"},
		"seccomp, unseen":      {unknown, endCounts{Seccomp: 1}, "", vmm.ExitCrashed, "(seccomp) stopped it"},
		"SIGBUS, unseen":       {unknown, endCounts{Signals: map[string]int64{"sigbus": 1}}, "", vmm.ExitCrashed, "caught SIGBUS"},
		"failed by KVM":        {known(1), endCounts{Failures: 1}, "", vmm.ExitCrashed, "KVM failed a vCPU"},
		"killed":               {killed, endCounts{}, vmm.ExitKilled, vmm.ExitKilled, ""},
		"killed, unseen":       {unknown, endCounts{}, vmm.ExitKilled, vmm.ExitKilled, ""},
		"powered off":          {killed, endCounts{}, vmm.ExitPoweroff, vmm.ExitPoweroff, ""},
		"rebooted while asked": {known(0), endCounts{Resets: 1}, vmm.ExitKilled, vmm.ExitReset, ""},
		"killed by somebody":   {killed, endCounts{}, "", vmm.ExitCrashed, "signal killed"},
		"gone, unseen":         {unknown, endCounts{}, "", vmm.ExitCrashed, "not known"},
	} {
		got := classify(dir, c.exit, c.end, c.asked)
		if got.Reason != c.reason || !strings.Contains(got.Detail, c.detail) || (c.detail == "") != (got.Detail == "") {
			t.Errorf("%s: %+v, want %s with %q", name, got, c.reason, c.detail)
		}
	}
}

// A VMM that hung in its handler has written no metrics, and its exit says only
// that we killed it: its log tells why.
func TestLastWords(t *testing.T) {
	for last, want := range map[string]string{
		"2026-11-27T10:00:00.1 [t:fc:ERROR] Shutting down VM after intercepting signal 11, code 0.":   "it caught SIGSEGV",
		"2026-11-27T10:00:00.1 [t:fc:ERROR] Shutting down VM after intercepting a bad syscall (101).": filtered,
		"2026-11-27T10:00:00.1 [t:fc:ERROR] Something else.":                                          "signal killed",
	} {
		killed := hostexec.Exit{Known: true, Code: -1, Signal: syscall.SIGKILL}
		if got := describe(killed, endCounts{}, last); !strings.Contains(got, want) {
			t.Errorf("%s: %s", last, got)
		}
	}
}

// Metrics are counted once, across monitors, and what was counted is freed;
// what is no metrics counts nothing.
func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, dirRun), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, dirRun, fileMetrics)
	line := `{"block_vdb":{"write_bytes":10,"write_count":1,"read_bytes":-5},"block_other":{"write_bytes":1},"i8042":{"reset_count":0}}` + "\n"
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(m *meter) vmm.DriveStats {
		t.Helper()
		if err := m.read(); err != nil {
			t.Fatal(err)
		}
		return m.drives()[disk.SlotWork]
	}
	m := newMeter(dir)
	write(line + line + `{"block_vdb":{"write_by`)
	if got := read(m); got != (vmm.DriveStats{Writes: 2, WrittenBytes: 20}) {
		t.Errorf("two lines count as %+v", got)
	}
	write(`tes":3}}` + "\nno JSON\n[1]\n" + strings.Repeat(line, foldAt/len(line)+1))
	want := read(m)
	if want.WrittenBytes < 10*foldAt/int64(len(line)) {
		t.Errorf("a megabyte of lines counts as %+v", want)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil || st.Blocks*512 > foldAt/2 {
		t.Errorf("what was counted takes %d bytes, %v", st.Blocks*512, err)
	}
	if got := read(newMeter(dir)); got != want {
		t.Errorf("the next monitor counts %+v, this one %+v", got, want)
	}
	write(strings.Repeat("x", 3*maxMetrics))
	for range 4 {
		if got := read(m); got != want {
			t.Errorf("garbage counts as %+v", got)
		}
	}
	if m.sum.Offset < 2*maxMetrics {
		t.Error("garbage without an end stops the counting")
	}
}

func TestLastWordsOfAKernel(t *testing.T) {
	for text, want := range map[string]bool{
		"[  1.5] reboot: Power down\r\n":                                true,
		strings.Repeat("x", 5000) + "reboot: System halted":             true,
		"reboot: Restarting system\nPower down\nthe text reboot: Power": false,
	} {
		for _, piece := range []int{1, 7, len(text)} {
			found := 0
			w := &haltWatch{found: func() { found++ }}
			for rest := text + text; rest != ""; {
				n := min(piece, len(rest))
				w.see([]byte(rest[:n]))
				rest = rest[n:]
			}
			if (found == 1) != want || found > 1 || len(w.line) > piece+2*len(lastWords[1]) {
				t.Errorf("%.30q… in pieces of %d: found %d times, %d bytes kept", text, piece, found, len(w.line))
			}
		}
	}
}

// Words alone end nothing: a guest whose vCPUs move lives on.
func TestWordsAloneEndNothing(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := within(t, haltStill+time.Second)
	defer cancel()
	if m.(*machine).halted(ctx) {
		t.Error("a guest that runs counts as halted")
	}
	if err := m.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}

// Each fault that is said to be tested is.
func TestQuirksAreTested(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	more, merr := filepath.Glob("../../../test/e2e/*_test.go")
	if files = append(files, more...); errors.Join(err, merr) != nil {
		t.Fatal(err, merr)
	}
	var all strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, q := range quirks {
		if q.effect == "" || q.way == "" || q.tested != untested && !strings.Contains(all.String(), "func "+q.tested+"(t *testing.T)") {
			t.Errorf("%s: %+v", q.name, q)
		}
	}
}

func TestLogIsKeptWithItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), rundir.LogFile)
	for i := range 2 * maxLog / 1000 {
		if err := appendLog(path, []byte(fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 990)))); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > maxLog {
			t.Fatalf("the log has %d bytes, %v", info.Size(), err)
		}
	}
	b, err := rundir.ReadEnd(path, 1000)
	if err != nil || !strings.Contains(string(b), fmt.Sprintf("%d x", 2*maxLog/1000-1)) {
		t.Errorf("the log ends with %.40q, %v", b, err)
	}
}

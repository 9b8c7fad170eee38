package firecracker

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fakefc"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

const fakeArg = "fake-firecracker"

// TestMain is also the program that encloses the VMM, and a fake of it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case StageArg:
			os.Exit(Stage(os.Args[2:], os.Stderr))
		case fakeArg:
			os.Exit(fakefc.Main(os.Args[2:]))
		case confinedArg:
			os.Exit(confinedMain(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

var stage = []string{"/proc/self/exe", StageArg}

// realConfig is of the real Firecracker, or skips.
func realConfig(t *testing.T) Config {
	t.Helper()
	binary := os.Getenv("BANGER_FIRECRACKER")
	if binary == "" {
		t.Skip("there is no Firecracker (BANGER_FIRECRACKER)")
	}
	return Config{Binary: binary, Stage: stage, CacheDir: lab.Verdicts(t)}
}

func newReal(t *testing.T, cfg Config) *Driver {
	return New(hostexec.Host{}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), cfg)
}

// needGuests skips where no guest of Firecracker makes progress.
func needGuests(t *testing.T) {
	t.Helper()
	lab.Needs(t)
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		t.Skip("KVM runs no guest here; make test-host runs this")
	}
}

func TestRealConformance(t *testing.T) {
	cfg := realConfig(t)
	needGuests(t)
	h := vmmtest.Harness{
		Driver: func(t *testing.T) vmm.Driver { return newReal(t, cfg) },
		Spec: func(t *testing.T) vmm.Spec {
			spec := lab.Spec(t, lab.LongDir(t))
			spec.Network = network.Attachment{Backend: network.BackendFrames, MAC: "52:54:00:00:00:01"}
			return spec
		},
		KillOutside: lab.KillOutside,
		Drives:      lab.Drives,
	}
	if os.Getuid() == 0 {
		h.Full = func(t *testing.T) (vmm.Spec, func()) { return lab.FullHost(t, spaceReserve) }
	}
	vmmtest.Run(t, h)
}

// Whatever KVM does on this machine, the verdict must be right, and is kept.
func TestRealKVMVerdictHolds(t *testing.T) {
	cfg := realConfig(t)
	cfg.ProbeKernel, cfg.ProbeInitramfs = lab.Needs(t)
	began := time.Now()
	info, err := newReal(t, cfg).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v after %v", info, time.Since(began))
	if info.Version == "" || info.Accels[vmm.AccelTCG] == "" {
		t.Errorf("Info = %+v", info)
	}
	if os.Getenv("BANGER_TEST_HOST") == "1" && info.Accels[vmm.AccelKVM] != "" {
		t.Errorf("KVM does not work in the test host: %s", info.Accels[vmm.AccelKVM])
	}
	began = time.Now()
	again, err := newReal(t, cfg).Info(t.Context())
	if err != nil || again.Accels[vmm.AccelKVM] != info.Accels[vmm.AccelKVM] {
		t.Errorf("the second Info = %+v, %v", again, err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the second Info took %v: the verdict was not kept", took)
	}
}

// A device that this user may not open is refused with the group that may.
func TestRealKVMRefused(t *testing.T) {
	cfg := realConfig(t)
	needGuests(t)
	if os.Getuid() == 0 {
		t.Skip("root may open everything")
	}
	d, spec := newReal(t, cfg), fakeSpec(t)
	d.device = func() string { return kvmprobe.OpenDeviceAt("/proc/1/environ") }
	if _, err := d.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "usermod -aG kvm") {
		t.Errorf("Start = %v", err)
	}
}

// Where users' namespaces are forbidden the VMM runs all the same, and it is
// said.
func TestRealNoUserNamespaces(t *testing.T) {
	cfg := realConfig(t)
	needGuests(t)
	const limit = "/proc/sys/user/max_user_namespaces"
	if os.Getuid() != 0 {
		t.Skip("only root may forbid them")
	}
	was, err := os.ReadFile(limit)
	if err == nil {
		err = os.WriteFile(limit, []byte("0"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(limit, was, 0); err != nil {
			t.Error(err)
		}
	})
	m, err := newReal(t, cfg).Start(t.Context(), lab.Spec(t, lab.LongDir(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(context.Background())
	if f := m.Facts(); f.Isolation != vmm.IsolationSandbox || len(f.Reduced) != 1 || !strings.Contains(f.Reduced[0], "user.max_user_namespaces") {
		t.Errorf("Facts = %+v", f)
	}
	t.Log(m.Facts().Reduced)
}

// A guest that idles after somebody in it printed its kernel's last words
// lives on: a connection wakes it.
func TestRealWordsAloneEndNoGuest(t *testing.T) {
	cfg := realConfig(t)
	needGuests(t)
	m, err := newReal(t, cfg).Start(t.Context(), lab.Spec(t, lab.LongDir(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(context.Background())
	console, err := m.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(2*time.Minute, func() { console.Close() }).Stop()
	lines := bufio.NewScanner(console)
	for lines.Scan() && !strings.Contains(lines.Text(), script.Banner) {
	}
	if _, err := console.Write(append(lastWords[0], '\n')); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), script.Echo+string(lastWords[0])) {
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := within(t, haltStill+haltLimit)
	defer cancel()
	if exit, err := m.Wait(ctx); err == nil {
		t.Errorf("an idle guest was ended: %+v", exit)
	}
}

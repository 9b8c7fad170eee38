package firecracker

import (
	"log/slog"
	"os"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fakefc"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
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
	vmmtest.Run(t, vmmtest.Harness{
		Driver:      func(t *testing.T) vmm.Driver { return newReal(t, cfg) },
		Spec:        func(t *testing.T) vmm.Spec { return lab.Spec(t, lab.LongDir(t)) },
		KillOutside: lab.KillOutside,
		Drives:      lab.Drives,
	})
}

package spec

import (
	"math"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/vmm"
)

func TestDefaults(t *testing.T) {
	got := VM{}.WithDefaults(Defaults{})
	if got.Image != "debian" || got.DiskDriver != "guestcow" || got.Network != "user" || got.Accel != vmm.AccelAuto ||
		got.CPUs != 1 || got.MemoryBytes != defaultMemory || got.DiskBytes != defaultDisk || got.Name != "" {
		t.Errorf("banger's own: %+v", got)
	}
	host := Defaults{DiskDriver: "copy", Network: "none"}
	if got := (VM{}).WithDefaults(host); got.DiskDriver != "copy" || got.Network != "none" {
		t.Errorf("the host's: %+v", got)
	}
	if got := (VM{Network: "user", MemoryBytes: 1<<30 + 1}).WithDefaults(host); got.Network != "user" || got.MemoryBytes != 1<<30+1<<20 {
		t.Errorf("asked for: %+v", got)
	}
}

// A size is refused as it was asked for, even one that cannot be rounded up.
func TestHugeMemory(t *testing.T) {
	err := VM{Name: "a", MemoryBytes: math.MaxInt64}.WithDefaults(Defaults{}).Check()
	if err == nil || !strings.Contains(err.Error(), "9223372036854775807") {
		t.Error(err)
	}
}

func TestMadeUpNamesAreNames(t *testing.T) {
	for range 1000 {
		if err := (VM{Name: MadeUpName()}).WithDefaults(Defaults{}).Check(); err != nil {
			t.Fatal(err)
		}
	}
}

package spec

import (
	"encoding/hex"
	"math"
	"path/filepath"
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

// A name that is taken is a DNS label, a file name and no ID, and a label that is
// chosen by can be no other one.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"dev", "web-2", "-a", "a-", "0123456789ab", "..", "a/b", "A", "\u00e9", strings.Repeat("a", 64), "ci=4", "=x"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) == nil {
			if len(name) < 1 || len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
				strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") || name != filepath.Base(name) {
				t.Errorf("%q is taken", name)
			}
			if _, err := hex.DecodeString(name); err == nil && (len(name) == 12 || len(name) == 16) {
				t.Errorf("%q looks like an ID", name)
			}
		}
		key, value, exact := strings.Cut(name, "=")
		if s := (Selector{name}); s.Check() == nil && (!s.Match(map[string]string{key: value}) || s.Match(nil) || exact && s.Match(map[string]string{key: value + "x"})) {
			t.Errorf("%q does not choose what it says", name)
		}
	})
}

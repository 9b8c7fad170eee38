package daemon

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/vmm/install"
)

func TestReadSettings(t *testing.T) {
	for _, tc := range []struct {
		name, text, refusal string
	}{
		{"empty", "", ""},
		{"all", "vmm = \"qemu\"\nnetwork = \"none\"\nauto_forward = true\ndisk_driver = \"copy\"\ndisk_bandwidth = \"1.5M\"\ndisk_iops = 500\nboot_timeout = \"90s\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\nfile = \"x\"\n", ""},
		{"unknown key", "vmn = \"qemu\"\n", "vmn"},
		{"unknown key in a table", "[log]\ncolour = true\n", "colour"},
		{"no duration", "stop_timeout = \"soon\"\n", `"soon" is not a positive duration`},
		{"a negative duration", "boot_timeout = \"-1s\"\n", `"-1s" is not a positive duration`},
		{"no size", "disk_bandwidth = \"fast\"\n", `"fast" is not a size`},
		{"too little bandwidth", "disk_bandwidth = \"512K\"\n", "limit of 524288 bytes a second is less"},
		{"too few operations", "disk_iops = 7\n", "limit of 7 operations a second is less"},
		{"a zone", "zone = \"lab.example.org\"\n", ""},
		{"no zone", "zone = \"a b\"\n", `"a b" cannot be the zone of VMs`},
		{"fewer than none", "disk_iops = -1\n", "limit of -1 operations a second is less"},
		{"a wrong type", "vmm = 1\n", "cannot be read"},
		{"a word for a switch", "auto_forward = \"yes\"\n", "cannot be read"},
		{"programs", "[vmm_binary]\nqemu = \"/opt/qemu\"\n", ""},
		{"a program of a wrong type", "vmm_binary = \"/opt/qemu\"\n", "cannot be read"},
		{"no TOML", "vmm", "cannot be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadSettings(path)
			if tc.refusal == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.refusal) || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %v; it must name the file and %q", err, tc.refusal)
			}
		})
	}
}

func TestSettingsAreTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if s, err := ReadSettings(path); err != nil || !reflect.DeepEqual(s, Settings{}) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	if err := os.WriteFile(path, []byte("vmm = \"qemu\"\nnetwork = \"none\"\nauto_forward = true\ndisk_driver = \"copy\"\ndisk_bandwidth = \"1.5M\"\ndisk_iops = 500\nboot_timeout = \"90s\"\n[log]\nformat = \"json\"\n[auth]\ngit = false\n[[auth.credential]]\nhost = \"~/.netrc\"\nmode = \"0640\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSettings(path)
	if err != nil || s.VMM != "qemu" || s.Network != "none" || !s.AutoForward || s.DiskDriver != "copy" || time.Duration(s.BootTimeout) != 90*time.Second || s.Log.Format != "json" {
		t.Errorf("the settings are %+v, %v", s, err)
	}
	if a := s.Auth; a.Git == nil || *a.Git || a.SSHKeys != nil || len(a.Files) != 1 || a.Files[0].Mode != 0o640 {
		t.Errorf("VMs are given %+v", a)
	}
	if l := s.driveLimit(); l != (disk.Limit{BytesPerSecond: 3 << 19, OpsPerSecond: 500}) {
		t.Errorf("drives are held to %+v", l)
	}
}

func TestGivenBinaries(t *testing.T) {
	t.Setenv("BANGER_BIG", "/env/big")
	t.Setenv("BANGER_SMALL", "/env/small")
	s := Settings{VMMBinary: map[string]string{"small": "/opt/small"}}
	given, err := s.givenBinaries([]string{"small", "big", "third"})
	want := map[string]install.Given{"small": {Path: "/opt/small", By: "config.toml"}, "big": {Path: "/env/big", By: "BANGER_BIG"}}
	if err != nil || !maps.Equal(given, want) {
		t.Errorf("given are %v, %v", given, err)
	}
	if _, err := s.givenBinaries([]string{"big"}); err == nil || !strings.Contains(err.Error(), `names "small", which is no VMM; there are: big`) {
		t.Errorf("an unknown VMM: %v", err)
	}
	t.Setenv("BANGER_BIG", "big")
	if _, err := s.givenBinaries([]string{"small", "big"}); err == nil || !strings.Contains(err.Error(), `big in BANGER_BIG must be an absolute path, not "big"`) {
		t.Errorf("a relative path: %v", err)
	}
}

func TestLogFile(t *testing.T) {
	p := places.Places{StateDir: "/state", LogFile: "/state/bangerd.log"}
	for given, want := range map[string]string{"": "/state/bangerd.log", "-": "-", "/var/log/b": "/var/log/b", "logs/b": "/state/logs/b"} {
		var s Settings
		s.Log.File = given
		if got := s.logFile(p); got != want {
			t.Errorf("%q is %q, not %q", given, got, want)
		}
	}
}

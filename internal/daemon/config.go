package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/size"
	"github.com/banger-vm/banger/internal/vm/access"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vmm/install"
)

// Settings are config.toml. Unknown keys are errors.
type Settings struct {
	// VMM is the VMM of a VM that asks for none: auto or a driver's name.
	VMM string `toml:"vmm"`
	// Network and DiskDriver are those of a VM that asks for none.
	Network    string `toml:"network"`
	DiskDriver string `toml:"disk_driver"`
	// AutoForward is whether VMs that do not say so have automatic forwards.
	AutoForward bool `toml:"auto_forward"`
	// Zone is what the names of VMs end in, as those of ssh do; default vm.
	Zone string `toml:"zone"`
	// DiskBandwidth, in bytes, and DiskIOPS bound each disk of a VM, a second.
	DiskBandwidth Size  `toml:"disk_bandwidth"`
	DiskIOPS      int64 `toml:"disk_iops"`
	// Auth is what VMs are given of their users' own; the client reads it.
	Auth credential.Settings `toml:"auth"`
	// MemoryOvercommit, CPUOvercommit and DiskReserve say what VMs this host can
	// carry; 0 is the default.
	MemoryOvercommit float64 `toml:"memory_overcommit"`
	CPUOvercommit    float64 `toml:"cpu_overcommit"`
	DiskReserve      Size    `toml:"disk_reserve"`
	// VMMBinary are the programs of VMMs, by name: absolute paths.
	VMMBinary map[string]string `toml:"vmm_binary"`
	Log       struct {
		Level  string `toml:"level"`  // debug, info, warn, error
		Format string `toml:"format"` // text, json
		File   string `toml:"file"`   // "-": standard error; default: bangerd.log in the state directory
	} `toml:"log"`
	// BootTimeout bounds the wait for a guest's agent, StopTimeout a graceful stop.
	BootTimeout Duration `toml:"boot_timeout"`
	StopTimeout Duration `toml:"stop_timeout"`
}

// Duration is a time.Duration written as "90s".
type Duration time.Duration

// UnmarshalText reads "90s".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a positive duration such as 90s", text)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes written as "200M".
type Size int64

// UnmarshalText reads "200M".
func (s *Size) UnmarshalText(text []byte) error {
	n, err := size.Parse(string(text))
	*s = Size(n)
	return err
}

// ReadSettings reads the configuration file; a missing one is all defaults.
func ReadSettings(path string) (Settings, error) {
	var s Settings
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the configuration: %w", err)
	}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return s, fmt.Errorf("%s has a key that banger does not know:\n%s", path, strict.String())
		}
		return s, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	err = errors.Join(s.driveLimit().Check(), s.Auth.Check())
	if err == nil {
		err = s.capacity().Check()
	}
	if err == nil && s.Zone != "" {
		err = access.CheckZone(s.Zone)
	}
	if err != nil {
		return s, fmt.Errorf("%s cannot be used: %w", path, err)
	}
	return s, nil
}

// givenBinaries are the programs that the settings name, or variables such as
// BANGER_QEMU, which count where the settings are silent.
func (s Settings) givenBinaries(names []string) (map[string]install.Given, error) {
	for name := range s.VMMBinary {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("vmm_binary in config.toml names %q, which is no VMM; there are: %s", name, strings.Join(names, ", "))
		}
	}
	given := map[string]install.Given{}
	for _, name := range names {
		variable := "BANGER_" + strings.ToUpper(name)
		g := install.Given{Path: s.VMMBinary[name], By: "config.toml"}
		if g.Path == "" {
			g = install.Given{Path: os.Getenv(variable), By: variable}
		}
		if g.Path == "" {
			continue
		}
		if !filepath.IsAbs(g.Path) {
			return nil, fmt.Errorf("the program of %s in %s must be an absolute path, not %q", name, g.By, g.Path)
		}
		given[name] = g
	}
	return given, nil
}

// driveLimit is what each drive of a VM is held to.
func (s Settings) driveLimit() disk.Limit {
	return disk.Limit{BytesPerSecond: int64(s.DiskBandwidth), OpsPerSecond: s.DiskIOPS}
}

// capacity is by what VMs are let in.
func (s Settings) capacity() capacity.Policy {
	return capacity.Policy{MemoryOvercommit: s.MemoryOvercommit, CPUOvercommit: s.CPUOvercommit, DiskReserve: int64(s.DiskReserve)}
}

// logFile is where the log goes; a relative path is one in the state directory.
func (s Settings) logFile(p places.Places) string {
	switch file := s.Log.File; {
	case file == "":
		return p.LogFile
	case file == "-" || filepath.IsAbs(file):
		return file
	default:
		return filepath.Join(p.StateDir, file)
	}
}

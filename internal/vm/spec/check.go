package spec

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vmm"
)

// Bounds and defaults of a VM.
const (
	MaxCPUs       = 64
	MinMemory     = 128 << 20
	MaxMemory     = 1 << 40
	MinDisk       = 32 << 20
	MaxDisk       = 16 << 40
	defaultMemory = 512 << 20
	defaultDisk   = 16 << 30
	maxLabels     = 64
	maxLabelBytes = 256
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// idForm is how the IDs of VMs and of other things look.
var idForm = regexp.MustCompile(`^([0-9a-f]{12}|[0-9a-f]{16})$`)

// CheckName refuses what can be no VM's name: a name is a DNS label, because
// NAME.vm is its address, and it is never taken for an ID.
func CheckName(name string) error {
	if idForm.MatchString(name) {
		return fault.New(fault.Invalid, "Use a name that is not just 12 or 16 hexadecimal digits.",
			"%q cannot be a VM's name: it looks like an ID", name)
	}
	if nameForm.MatchString(name) {
		return nil
	}
	shown := name
	if len(shown) > 70 {
		shown = shown[:70] + "…"
	}
	return fault.New(fault.Invalid,
		"Use 1 to 63 lower-case letters, digits and hyphens, for instance dev or web-2.",
		"%q cannot be a VM's name", shown)
}

// size writes bytes as a person would give them to a flag.
func size(bytes int64) string {
	units := [...]string{"", "K", "M", "G", "T", "P"}
	i := 0
	for ; i < len(units)-1 && bytes != 0 && bytes%1024 == 0; i++ {
		bytes /= 1024
	}
	return fmt.Sprintf("%d%s", bytes, units[i])
}

// Check refuses what no host could run, with a fault.Invalid; drivers check
// what this one cannot.
func (s VM) Check() error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	switch {
	case s.CPUs < 1 || s.CPUs > MaxCPUs:
		return fault.New(fault.Invalid, "Use -c with 1 to 64.", "a VM cannot have %d vCPUs", s.CPUs)
	case s.MemoryBytes < MinMemory || s.MemoryBytes > MaxMemory:
		return fault.New(fault.Invalid, "Use -m with 128M to 1T, for instance 2G.",
			"a VM cannot have %s of memory", size(s.MemoryBytes))
	case s.DiskBytes < MinDisk || s.DiskBytes > MaxDisk:
		return fault.New(fault.Invalid, "Use --disk with 32M to 16T, for instance 20G.",
			"a work disk cannot have %s", size(s.DiskBytes))
	case len(s.Labels) > maxLabels:
		return fault.New(fault.Invalid, "Use at most 64 labels.", "a VM cannot have %d labels", len(s.Labels))
	}
	switch s.Accel {
	case vmm.AccelAuto, vmm.AccelKVM, vmm.AccelTCG:
	default:
		return fault.New(fault.Invalid, "Use auto, kvm or tcg.", "there is no accelerator %q", string(s.Accel))
	}
	for k, v := range s.Labels {
		if k == "" || len(k)+len(v) > maxLabelBytes || strings.ContainsFunc(k+v, func(r rune) bool { return r < ' ' }) {
			return fault.New(fault.Invalid, "Use KEY=VALUE of printable characters, at most 256 in all.",
				"%q cannot be a label", k)
		}
	}
	return nil
}

package spec

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/naming"
	"github.com/banger-vm/banger/internal/vmm"
)

// Bounds and defaults of a VM.
const (
	maxCPUs       = 64
	minMemory     = 128 << 20
	maxMemory     = 1 << 40
	minDisk       = 32 << 20
	maxDisk       = 16 << 40
	defaultMemory = 512 << 20
	defaultDisk   = 16 << 30
	maxLabels     = 64
	maxLabelBytes = 256
)

// names are DNS labels, because NAME.vm is a VM's address.
var names = naming.Rule{
	Owner: "a VM's",
	Form:  regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`),
	Hint:  "Use 1 to 63 lower-case letters, digits and hyphens, for instance dev or web-2.",
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

// CheckName refuses what can be no VM's name, with a fault.Invalid.
func CheckName(name string) error { return names.Check(name) }

// Check refuses what no host could run, with a fault.Invalid; drivers check
// what this one cannot.
func (s VM) Check() error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	switch {
	case s.CPUs < 1 || s.CPUs > maxCPUs:
		return fault.New(fault.Invalid, "Use -c with 1 to 64.", "a VM cannot have %d vCPUs", s.CPUs)
	case s.MemoryBytes < minMemory || s.MemoryBytes > maxMemory:
		return fault.New(fault.Invalid, "Use -m with 128M to 1T, for instance 2G.",
			"a VM cannot have %s of memory", size(s.MemoryBytes))
	case s.DiskBytes < minDisk || s.DiskBytes > maxDisk:
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
	if err := s.checkRestart(); err != nil {
		return err
	}
	for k, v := range s.Labels {
		if k == "" || len(k)+len(v) > maxLabelBytes || strings.ContainsFunc(k+v, func(r rune) bool { return r < ' ' }) {
			return fault.New(fault.Invalid, "Use KEY=VALUE of printable characters, at most 256 in all.",
				"%q cannot be a label", k)
		}
	}
	return forward.Check(s.Forwards)
}

// checkRestart refuses what is to be thrown away and to come back.
func (s VM) checkRestart() error {
	if _, err := ParseRestart(string(s.Restart)); err != nil {
		return err
	}
	if s.AutoRemove && (s.Restart != RestartNo || s.Autostart) {
		return fault.New(fault.Invalid, "Leave out --rm, or --restart and --autostart.", "a VM that is removed when it stops cannot be started again")
	}
	return nil
}

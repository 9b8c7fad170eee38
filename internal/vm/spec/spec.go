// Package spec is what a VM is asked to be: its fields, their defaults and
// what no host could run.
package spec

import (
	"cmp"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/vmm"
)

// VM is what a VM is asked to be. Sizes are in bytes.
type VM struct {
	Name        string `json:"name"`
	Image       string `json:"image"`            // as asked for
	Kernel      string `json:"kernel,omitempty"` // as asked for until it is found, then its name
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memory"`
	DiskBytes   int64  `json:"disk"` // of the work disk
	DiskDriver  string `json:"disk_driver"`
	Network     string `json:"network"`
	// AllowHosts are the exceptions from what the network refuses, in
	// their one form.
	AllowHosts []string          `json:"allow_hosts,omitempty"`
	VMM        string            `json:"vmm"` // as asked for until one is chosen, then that
	Accel      vmm.Accel         `json:"accel"`
	Labels     map[string]string `json:"labels,omitempty"`
	AutoRemove bool              `json:"auto_remove,omitempty"`
	Restart    Restart           `json:"restart,omitempty"`
	Autostart  bool              `json:"autostart,omitempty"` // with the host

	Forwards []forward.Forward `json:"forwards,omitempty"`
	// AutoForward gives each port that the guest listens on a forward; nil is
	// the host's default, which WithDefaults fills in.
	AutoForward *bool `json:"auto_forward,omitempty"`
}

// DefaultDiskDriver is that of a VM for which nobody says another.
const DefaultDiskDriver = "guestcow"

// Defaults are a host's own, of which an empty one is banger's.
type Defaults struct {
	DiskDriver, Network string
	AutoForward         bool
}

// WithDefaults fills in what was not asked for, but no name.
func (s VM) WithDefaults(d Defaults) VM {
	s.Image = cmp.Or(s.Image, "debian")
	s.DiskDriver = cmp.Or(s.DiskDriver, d.DiskDriver, DefaultDiskDriver)
	s.Network = cmp.Or(s.Network, d.Network, "user")
	s.Accel = cmp.Or(s.Accel, vmm.AccelAuto)
	s.CPUs = cmp.Or(s.CPUs, 1)
	s.MemoryBytes = cmp.Or(s.MemoryBytes, defaultMemory)
	if s.MemoryBytes <= maxMemory { // what Check refuses is shown as it was asked for
		s.MemoryBytes = (s.MemoryBytes + 1<<20 - 1) &^ (1<<20 - 1) // VMMs count whole MiB
	}
	s.DiskBytes = cmp.Or(s.DiskBytes, defaultDisk)
	if s.AutoForward == nil {
		s.AutoForward = &d.AutoForward
	}
	if r, err := ParseRestart(string(s.Restart)); err == nil { // Check refuses any other
		s.Restart = r
	}
	return s
}

// AutoForwards reports whether the guest's listeners get forwards.
func (s VM) AutoForwards() bool { return s.AutoForward != nil && *s.AutoForward }

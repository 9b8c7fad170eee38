// Package choose picks the VMM of a VM from what the drivers say of themselves:
// which accelerators work here, and which networks they can be attached to. It
// knows none of them by name.
package choose

import (
	"context"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// Auto leaves the choice to banger.
const Auto = "auto"

// Guest is what a driver tries KVM with; without one nothing is tried.
type Guest struct{ Kernel, Initramfs string }

// Want is what a VM asks of its VMM.
type Want struct {
	VMM     string // a name, Auto, or "" for the configuration's
	Accel   vmm.Accel
	Network string
	// DiskDriver is the name of what makes its root, and Format that of the root.
	DiskDriver string
	Format     disk.Format
	Guest      Guest
	// Kernel is the name of the guest's, and Lacks names the drivers that it has
	// not.
	Kernel string
	Lacks  []string
}

// Choice is a VMM that was picked.
type Choice struct {
	VMM string `json:"vmm"`
	// Why is half a sentence, for people.
	Why string `json:"why"`
	// Accel and Isolation are those that a start can expect.
	Accel     vmm.Accel     `json:"accel"`
	Isolation vmm.Isolation `json:"isolation"`
}

// Look returns what a VMM says of itself. It tries KVM with the guest unless
// that is zero or the verdict is known.
type Look func(ctx context.Context, name string, guest Guest) (vmm.Info, error)

// Chooser chooses among VMMs.
type Chooser struct {
	// Order names the VMMs as Auto tries them.
	Order []string
	// Default is the configuration's: a name, Auto or "".
	Default string
	// Networks are the backends of each network, by its name.
	Networks map[string][]network.Backend
	Look     Look
}

// Check refuses what no VMM here could run, and boots nothing to find out.
func (c *Chooser) Check(ctx context.Context, w Want) error {
	w.Guest = Guest{}
	_, err := c.Choose(ctx, w)
	return err
}

// Choose picks the VMM. With a guest in w the choice is one that runs it here;
// without one KVM counts as working where it opens.
func (c *Chooser) Choose(ctx context.Context, w Want) (Choice, error) {
	name, why := w.VMM, "asked for"
	if name == "" {
		name, why = c.Default, "set in config.toml"
	}
	if name == "" || name == Auto {
		return c.auto(ctx, w)
	}
	if err := c.Known(name); err != nil {
		return Choice{}, err
	}
	return c.fit(ctx, name, why, w, vmm.AccelKVM, vmm.AccelTCG)
}

// Known refuses a name that is no VMM's.
func (c *Chooser) Known(name string) error {
	if slices.Contains(c.Order, name) {
		return nil
	}
	return fault.New(fault.Invalid, "Use auto or one of: "+strings.Join(c.Order, ", ")+".", "there is no VMM %q", name)
}

// NetworksOf names the networks that a VMM can be attached to.
func (c *Chooser) NetworksOf(info vmm.Info) []string {
	var names []string
	for name := range c.Networks {
		if c.joins(info, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *Chooser) joins(info vmm.Info, name string) bool {
	return slices.ContainsFunc(c.Networks[name], func(b network.Backend) bool { return slices.Contains(info.Networks, b) })
}

// Package ports looks whether ports of this host are free for a VM's forwards,
// and says who has those that are not: the monitors, which open them, know of
// nobody.
package ports

import (
	"context"
	"net/netip"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/sockets"
)

// Holder is a VM that runs, with its forwards.
type Holder struct {
	Name     string
	Forwards []forward.Status
}

// Free refuses forwards whose port cannot be opened just now; one in use is a
// fault.Busy that names the VM or the program that has it, where it is known.
func Free(ctx context.Context, all []forward.Forward, running []Holder) error {
	for _, f := range all {
		if f.HostPort == 0 {
			continue
		}
		err := forward.Free(f)
		if fault.KindOf(err) == fault.Busy {
			err = inUse(ctx, f, running, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inUse says who has a forward's port; err is what is said where nobody knows.
func inUse(ctx context.Context, f forward.Forward, running []Holder, err error) error {
	for _, vm := range running {
		for _, s := range vm.Forwards {
			if (forward.Forward{Address: s.Address, HostPort: s.Port}).Meets(f) {
				return fault.New(fault.Busy, "Use another host port, or 0 for any free one; see: banger forward ls "+vm.Name,
					"port %d is in use by the VM %s, for its port %d", f.HostPort, vm.Name, s.GuestPort)
			}
		}
	}
	for _, addr := range f.Addresses() {
		if holder := sockets.Holder(ctx, netip.AddrPortFrom(addr, uint16(f.HostPort))); holder != "" {
			return fault.New(fault.Busy, "Use another host port, or 0 for any free one.", "port %d is in use by %s", f.HostPort, holder)
		}
	}
	return err
}

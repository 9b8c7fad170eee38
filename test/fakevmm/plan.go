package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// planEnv is the variable with the plan of a guest, as JSON.
const planEnv = "FAKEVMM_PLAN"

// plan is what the guest's first process is to make.
type plan struct {
	Root      string // an empty directory, where the guest's root comes to be
	Initramfs string
	Cmdline   []string
	CPUs      int
	BootID    string
	Console   string // terminals of the host
	Port      string
	Drives    []planDrive
}

// planDrive is a drive of the guest.
type planDrive struct {
	Slot     disk.Slot
	Sectors  int64 // of 512 bytes
	Device   int   // the number of the block device; 0: it is empty, and a file
	ReadOnly bool
}

// plan attaches the drives and describes the rest.
func (h *hosted) plan() (plan, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	p := plan{
		Root: h.root, Initramfs: h.spec.Initramfs, Cmdline: h.spec.Cmdline, CPUs: h.spec.CPUs,
		BootID: fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
	}
	// The modules of a kernel that is not there are of no use.
	boots := slices.ContainsFunc(p.Cmdline, func(arg string) bool { return strings.HasPrefix(arg, wire.ArgRoot+"=") })
	for _, d := range h.spec.Drives {
		info, err := os.Stat(h.path(d))
		if err != nil {
			return p, fmt.Errorf("looking at a drive: %w", err)
		}
		given := planDrive{Slot: d.Slot, Sectors: info.Size() / 512, ReadOnly: d.ReadOnly}
		if boots && d.Slot == disk.SlotLayer && !d.ReadOnly {
			if err := format(h.path(d)); err != nil {
				return p, err
			}
		}
		if info.Size() > 0 && (!boots || d.Slot != disk.SlotModules) {
			made, err := attach(h.path(d), d.ReadOnly)
			if err != nil {
				return p, err
			}
			h.drives[d.Slot] = made
			var st unix.Stat_t
			if err := unix.Fstat(int(made.loop.Fd()), &st); err != nil {
				return p, fmt.Errorf("looking at a block device: %w", err)
			}
			given.Device = int(st.Rdev)
		}
		p.Drives = append(p.Drives, given)
	}
	return p, nil
}

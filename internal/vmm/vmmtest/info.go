package vmmtest

import (
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// testInfo: what a driver says of itself is what is chosen by, so it must be
// whole.
func testInfo(t *testing.T, h Harness) {
	d := h.Driver(t)
	info, err := d.Info(within(t))
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	if info.Name != d.Name() || info.Version == "" || info.Path == "" {
		t.Errorf("Info = %+v", info)
	}
	if !slices.Contains(info.Networks, network.BackendNone) {
		t.Errorf("the networks %v lack the one that every VMM has", info.Networks)
	}
	for _, accel := range []vmm.Accel{vmm.AccelKVM, vmm.AccelTCG} {
		reason, known := info.Accels[accel]
		if !known {
			t.Errorf("nothing is said of %s", accel)
		}
		if reason == "" && info.Isolation[accel] == "" {
			t.Errorf("%s works, and nothing is said of its isolation", accel)
		}
	}
}

// testFormats: a drive in a format that the driver does not name is refused
// before anything is started, as is one that no VMM knows.
func testFormats(t *testing.T, h Harness) {
	if h.Drives == "" {
		t.Skip("the guests of this driver have no drives")
	}
	d := h.Driver(t)
	info, err := d.Info(within(t))
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	for format, known := range map[disk.Format]bool{
		disk.FormatQCOW2: slices.Contains(info.Formats, disk.FormatQCOW2), "vmdk": false,
	} {
		spec := h.Spec(t)
		spec.Drives[0].Format, spec.Drives[0].Backing = format, spec.Kernel
		if err := d.Prepare(within(t), spec); (err == nil) != known {
			t.Errorf("Prepare of a drive in %s = %v; the driver names %v", format, err, info.Formats)
		}
	}
}

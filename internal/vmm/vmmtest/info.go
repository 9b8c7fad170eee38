package vmmtest

import (
	"slices"
	"testing"

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

package user

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
)

// Every VM keeps its address over restarts, no two share one, and none is a
// vendor's or a group's.
func TestMAC(t *testing.T) {
	seen := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.StringMatching(`[0-9a-f]{16}`).Draw(rt, "id")
		a, err := New().Apply(t.Context(), network.Request{VMID: id, Dir: "/x"})
		if err != nil {
			rt.Fatal(err)
		}
		b, err := New().Apply(t.Context(), network.Request{VMID: id, Dir: "/moved"})
		if err != nil || a.MAC != b.MAC || a.Backend != network.BackendFrames {
			rt.Fatal(a, b, err)
		}
		hw, err := net.ParseMAC(a.MAC)
		if err != nil || len(hw) != 6 || hw[0]&1 != 0 || hw[0]&2 == 0 {
			rt.Fatalf("%q is not a locally administered unicast address (%v)", a.MAC, err)
		}
		if other, ok := seen[a.MAC]; ok && other != id {
			rt.Fatalf("%s and %s share %s", id, other, a.MAC)
		}
		seen[a.MAC] = id
	})
}

// The address of a VM must not change with a new version of banger.
func TestMACIsStable(t *testing.T) {
	if got := mac("3f9c0a11d2e4b567"); got != "12:0f:05:74:91:01" {
		t.Fatal(got)
	}
}

func TestNoID(t *testing.T) {
	if _, err := New().Apply(t.Context(), network.Request{}); fault.KindOf(err) != fault.Internal {
		t.Fatal(err)
	}
}

func TestExposureNamesTheExceptions(t *testing.T) {
	if all := strings.Join(New().Exposure(nil), " "); !strings.Contains(all, "neither this host nor private networks") {
		t.Fatal(all)
	}
	allow, err := network.ParseExceptions([]string{"10.0.0.0/8", "127.0.0.1:5432"})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(New().Exposure(allow), " ")
	for _, want := range []string{"10.0.0.0/8", "127.0.0.1:5432 of this host itself"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q does not name %s", all, want)
		}
	}
}

func TestCarryWantsACard(t *testing.T) {
	a, err := New().Apply(t.Context(), network.Request{VMID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Carry(slog.New(slog.DiscardHandler), a)
	if err != nil || c.Close() != nil {
		t.Fatal(err)
	}
	a.MAC = "none"
	if _, err := Carry(slog.New(slog.DiscardHandler), a); err == nil {
		t.Fatal("it carries frames of no card")
	}
}

func TestAppliesWithItsBackends(t *testing.T) {
	a, err := New().Apply(t.Context(), network.Request{VMID: "x"})
	if err != nil || !slices.Contains(New().Backends(), a.Backend) {
		t.Fatalf("it attaches with %s and speaks of %v (%v)", a.Backend, New().Backends(), err)
	}
}

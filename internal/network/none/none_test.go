package none

import (
	"reflect"
	"testing"

	"github.com/banger-vm/banger/internal/network"
)

func TestNoCard(t *testing.T) {
	a, err := New().Apply(t.Context(), network.Request{VMID: "x"})
	if err != nil || !reflect.DeepEqual(a, network.Attachment{Backend: network.BackendNone}) || len(New().Exposure(nil)) != 0 {
		t.Fatal(a, err)
	}
	if b := New().Backends(); len(b) != 1 || b[0] != a.Backend {
		t.Errorf("it attaches with %s and speaks of %v", a.Backend, b)
	}
}

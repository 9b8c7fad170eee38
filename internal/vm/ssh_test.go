package vm_test

import (
	"os"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/vm/spec"
)

// A zone that is chosen is everybody's once the daemon has started with it.
func TestZoneOfNames(t *testing.T) {
	r := newRig(t)
	r.ok(r.create(spec.VM{Name: "dev"}, false))
	for _, zone := range []string{"vm", "lab.example.org"} {
		at, err := r.vms.SSH(t.Context(), "")
		if err != nil || at.Zone != zone {
			t.Fatalf("%+v, %v", at, err)
		}
		config, err := os.ReadFile(at.Config)
		if err != nil || !strings.Contains(string(config), "\nHost dev."+zone+"\n") {
			t.Errorf("%v: %s", err, config)
		}
		r.close()
		r.zone = "lab.example.org"
		r.open()
		if config, err = os.ReadFile(at.Config); err != nil || !strings.Contains(string(config), "\nHost dev.lab.example.org\n") {
			t.Errorf("after the start, %v: %s", err, config)
		}
	}
	if at, err := r.vms.SSH(t.Context(), "dev"); err != nil || at.Host != "dev.lab.example.org" {
		t.Errorf("%+v, %v", at, err)
	}
}

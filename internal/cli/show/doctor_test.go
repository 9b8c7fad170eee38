package show

import (
	"os"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
)

// The rendered checks are those of testdata/checks.golden.
func TestChecks(t *testing.T) {
	checks := []api.DoctorCheck{
		{Name: "cpu", Theme: "Virtualisation", State: api.DoctorOK, Found: "the processor has virtualisation (vmx)"},
		{Name: "state-dir", Theme: "banger's files", State: api.DoctorFail, Found: "others may write to it", Command: "chmod go-w /s", Safe: true},
		{Name: "kvm", Theme: "Virtualisation", State: api.DoctorWarn, Found: "this host has no /dev/kvm\x1b[2J", Command: "sudo modprobe kvm_intel", Hint: "VMs are slow without."},
		{Name: "image", Theme: "banger's files", State: api.DoctorSkip, Found: "the database cannot be read"},
	}
	var out strings.Builder
	for _, l := range []Looks{{}, {All: true}, {Terminal: true, All: true}} {
		if err := Checks(&out, checks, l); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	want, err := os.ReadFile("testdata/checks.golden")
	if err != nil || out.String() != string(want) {
		t.Errorf("%v; it is\n%s", err, out.String())
	}
}

// Package result is what a test of a feature came to on one variant of a
// machine: the lists build/results/NAME-results.json hold, and docs/matrix.md
// is made of.
package result

import (
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// Variant is what the test ran on; the zero value is not known.
type Variant struct {
	VMM  string `json:"vmm"`  // with its accelerator: qemu/tcg; "" is none
	Disk string `json:"disk"` // the root's disk driver; "" is none
	User string `json:"user"` // root, or user for an ordinary one
}

// The outcomes.
const (
	Pass = "pass"
	Fail = "fail"
	Skip = "skip"
)

// Result is one outcome. The features of a conformance suite begin with VMM or
// Disk and a slash, all others are of the end-to-end suite.
type Result struct {
	Feature string `json:"feature"`
	Variant
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"` // of a skip, or what was reduced
}

// The groups of features.
const (
	GroupVMM  = "VMM/"
	GroupDisk = "Disk/"
)

// AttrRanOn is the key of the attribute by which a test tells what it ran on; its
// value is a RanOn.
const AttrRanOn = "ran-on"

// RanOn is what a test ran on, and what was weaker there than it should be.
type RanOn struct {
	Variant
	Reduced []string `json:"reduced,omitempty"`
}

// told are the test and the value of each attribute.
var told sync.Map

// Tell tells in the output of a test what it runs on, once.
func Tell(t testing.TB, vmm, disk string, reduced ...string) {
	t.Helper()
	on := RanOn{Variant{vmm, disk, "user"}, reduced}
	if os.Geteuid() == 0 {
		on.User = "root"
	}
	value, err := json.Marshal(on)
	if err != nil {
		t.Fatal(err)
	}
	if _, again := told.LoadOrStore(t.Name()+"\n"+string(value), true); !again {
		t.Attr(AttrRanOn, string(value))
	}
}

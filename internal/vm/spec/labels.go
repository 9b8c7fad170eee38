package spec

import (
	"strings"

	"github.com/banger-vm/banger/internal/fault"
)

// Selector chooses VMs by their labels: KEY=VALUE, or KEY for any value. A VM
// has to have all of them; the empty one chooses every VM.
type Selector []string

// Check refuses what no label can be, with a fault.Invalid.
func (s Selector) Check() error {
	for _, want := range s {
		if key, _, _ := strings.Cut(want, "="); key == "" {
			return fault.New(fault.Invalid, "Use KEY=VALUE, or KEY for any value.", "%q chooses no label", want)
		}
	}
	return nil
}

// Match reports whether labels has all that is chosen.
func (s Selector) Match(labels map[string]string) bool {
	for _, want := range s {
		key, value, exact := strings.Cut(want, "=")
		if got, ok := labels[key]; !ok || exact && got != value {
			return false
		}
	}
	return true
}

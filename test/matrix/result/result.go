// Package result is what a test of a feature came to on one variant of a
// machine: the lists build/results/NAME-results.json hold, and docs/matrix.md
// is made of.
package result

// Variant is what the test ran on.
type Variant struct {
	VMM  string `json:"vmm"`  // with its accelerator: qemu/tcg
	Disk string `json:"disk"` // the root's disk driver
	User string `json:"user"` // root, or user for an ordinary one
}

// The outcomes.
const (
	Pass = "pass"
	Fail = "fail"
	Skip = "skip"
)

// Result is one outcome.
type Result struct {
	Feature string `json:"feature"`
	Variant
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"` // of a skip
}

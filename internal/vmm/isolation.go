package vmm

import "fmt"

// Isolation is how a VMM's process is set apart.
type Isolation string

// The isolations.
const (
	// IsolationNamespaces: in namespaces of its own, with a root that holds
	// only its files.
	IsolationNamespaces Isolation = "namespaces"
	// IsolationSandbox: with the VMM's own system call filter only.
	IsolationSandbox Isolation = "sandbox"
	// IsolationNoPromise: the VMM's makers do not promise that a guest cannot
	// break out of it.
	IsolationNoPromise Isolation = "no promise"
)

// Describe says it for people, of a machine that this VMM runs; "" if it is
// not known.
func (i Isolation) Describe(vmm string, accel Accel) string {
	switch i {
	case "":
		return ""
	case IsolationNamespaces:
		return string(i)
	case IsolationSandbox:
		return fmt.Sprintf("%s/%s sandboxed", vmm, accel)
	case IsolationNoPromise:
		return fmt.Sprintf("%s/%s (no security promise)", vmm, accel)
	}
	return fmt.Sprintf("%s/%s (%s)", vmm, accel, string(i))
}

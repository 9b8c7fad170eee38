// Package naming is the rule that all names share: each kind of thing has its
// own form, and no name is ever taken for an ID.
package naming

import (
	"regexp"

	"github.com/banger-vm/banger/internal/fault"
)

// maxShown bounds a refused name in a message, in bytes.
const maxShown = 70

// idForm is how IDs look: those of VMs, and those of images and operations.
var idForm = regexp.MustCompile(`^([0-9a-f]{12}|[0-9a-f]{16})$`)

// Rule says what one kind of thing may be called.
type Rule struct {
	Owner string         // for instance "a VM's"
	Form  *regexp.Regexp // of a whole name
	Hint  string         // says the form in words, with an example
}

// Check refuses, with a fault.Invalid, what can be no name.
func (r Rule) Check(name string) error {
	switch {
	case idForm.MatchString(name):
		return fault.New(fault.Invalid, "Use a name that is not just 12 or 16 hexadecimal digits.",
			"%q cannot be %s name: it looks like an ID", name, r.Owner)
	case r.Form.MatchString(name):
		return nil
	case len(name) > maxShown:
		name = name[:maxShown] + "…"
	}
	return fault.New(fault.Invalid, r.Hint, "%q cannot be %s name", name, r.Owner)
}

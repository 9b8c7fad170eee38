package show

import (
	"fmt"
	"strings"

	"github.com/banger-vm/banger/api"
)

// Protocols writes the versions of protocols in a line; those that a program
// does not speak are left out.
func Protocols(p api.Protocols) string {
	var texts []string
	for _, each := range []struct {
		name    string
		version int
	}{{"api", p.API}, {"stream", p.Stream}, {"monitor", p.Monitor}, {"agent", p.Agent}} {
		if each.version > 0 {
			texts = append(texts, fmt.Sprintf("%s %d", each.name, each.version))
		}
	}
	return strings.Join(texts, ", ")
}

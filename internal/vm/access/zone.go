package access

import (
	"fmt"
	"regexp"
)

// DefaultZone is what the VMs' names end in where nobody has chosen.
const DefaultZone = "vm"

// maxZone leaves room for a VM's name in a name of DNS.
const maxZone = 253 - 1 - 63

var zones = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// CheckZone refuses what no name of DNS could end in.
func CheckZone(zone string) error {
	if len(zone) > maxZone || !zones.MatchString(zone) {
		return fmt.Errorf("%.70q cannot be the zone of VMs: write labels of lower-case letters, digits and hyphens, for instance vm or vm.example.org", zone)
	}
	return nil
}

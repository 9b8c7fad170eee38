package own

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/fault"
)

// disks wants the disk driver that VMs have by default to work on the file
// system of the state directory; which others do is only told.
func (f Facts) disks(ctx context.Context) doctor.Finding {
	drivers := f.DiskDrivers(ctx, existing(f.Places.StateDir))
	var work, not []string
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		if err := drivers[name]; err != nil {
			not = append(not, name+": "+fault.From(err).Message)
			continue
		}
		work = append(work, name)
	}
	err, known := drivers[f.DiskDriver]
	switch {
	case !known:
		return doctor.Bad(doctor.Fail, f.edit(), "there is no disk driver %q, which VMs are to have", f.DiskDriver)
	case err != nil:
		return doctor.Bad(doctor.Fail, f.edit(), "the disk driver %s, which VMs are to have, does not work: %v", f.DiskDriver, fault.From(err).Message)
	case len(not) > 0:
		return doctor.Good("%s work here; %s", strings.Join(work, ", "), strings.Join(not, "; "))
	}
	return doctor.Good("%s work here", strings.Join(work, ", "))
}

package fcapi

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/banger-vm/banger/internal/vmm"
)

// Version is a version of Firecracker.
type Version struct{ Major, Minor, Patch int }

// Oldest is the oldest version that this client speaks to.
var Oldest = Version{1, 12, 0}

var versionForm = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-[0-9A-Za-z.-]{1,40})?$`)

// ParseVersion reads "1.12.1", with or without a v and a suffix.
func ParseVersion(s string) (Version, error) {
	m := versionForm.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("the version of Firecracker is not understood: %.40q", s)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // four digits at most
	}
	return Version{n[0], n[1], n[2]}, nil
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// Feature is something that not every version can do.
type Feature struct {
	Name  string
	Since Version
}

// The features, by the API's own names.
var (
	NetworkOverrides = Feature{"network_overrides of snapshot/load", Version{1, 12, 0}}
	VsockOverrides   = Feature{"vsock_override of snapshot/load", Version{1, 16, 0}}
	ClockRealtime    = Feature{"clock_realtime of snapshot/load", Version{1, 16, 0}}
)

// Require refuses by name what this version cannot do.
func (v Version) Require(f Feature) error {
	if v.Less(f.Since) {
		return fmt.Errorf("%s needs Firecracker %s or later, this is %s: %w", f.Name, f.Since, v, vmm.ErrUnsupported)
	}
	return nil
}

// check refuses what a version cannot load.
func (l Load) check(v Version) error {
	var errs []error
	if len(l.Networks) > 0 {
		errs = append(errs, v.Require(NetworkOverrides))
	}
	if l.Vsock != nil {
		errs = append(errs, v.Require(VsockOverrides))
	}
	if l.ClockRealtime {
		errs = append(errs, v.Require(ClockRealtime))
	}
	return errors.Join(errs...)
}

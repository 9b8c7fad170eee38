package host

import (
	"context"
	"strings"

	"github.com/banger-vm/banger/internal/doctor"
)

// Source tells an error where no package source for an image is known.
type Source func(ctx context.Context) error

// needed are the programs of others that banger runs, but for VMMs.
var needed = []struct {
	name, program, pkg, why string
	state                   doctor.State
	preflight               bool
}{
	{"mke2fs", "mke2fs", "e2fsprogs", "every VM's home is a file system that it makes", doctor.Fail, true},
	{"e2fsck", "e2fsck", "e2fsprogs", "each image is checked with it", doctor.Fail, false},
	{"mmdebstrap", "mmdebstrap", "mmdebstrap", "the image debian is made with it", doctor.Fail, false},
	{"unshare", "unshare", "util-linux", "images are made in namespaces of their own", doctor.Fail, false},
	{"ssh", "ssh", "openssh-client", "banger ssh is OpenSSH's", doctor.Warn, false},
}

func programs(f Facts) []doctor.Check {
	var checks []doctor.Check
	for _, n := range needed {
		checks = append(checks, doctor.Check{
			Name: n.name, Theme: themePrograms, Preflight: n.preflight,
			Look: func(context.Context) doctor.Finding {
				if f.Find(n.program) != nil {
					return doctor.Bad(n.state, install(n.pkg), "%s is not installed: %s", n.program, n.why)
				}
				return doctor.Good("%s is there", n.program)
			},
		})
	}
	return append(checks, doctor.Check{Name: "package-sources", Theme: themePrograms, Look: f.sources})
}

func (f Facts) sources(ctx context.Context) doctor.Finding {
	if err := f.Sources(ctx); err != nil {
		found := doctor.Broken(doctor.Warn, err)
		if strings.Contains(found.Fix.Hint, "apt-get update") {
			found.Fix.Command = "sudo apt-get update"
		}
		return found
	}
	return doctor.Good("apt knows where an image's packages are")
}

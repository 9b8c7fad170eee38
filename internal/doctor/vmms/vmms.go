// Package vmms has the checks of the virtual machine monitors of this host.
package vmms

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// Facts are how VMMs are looked at.
type Facts struct {
	Names []string // in the order in which they are chosen
	// Look asks a VMM's driver, which boots nothing for it; by says where its
	// program was found.
	Look func(ctx context.Context, name string) (info vmm.Info, by string, err error)
	// Verdict is what was found out about KVM by an earlier guest with the
	// program at path.
	Verdict func(path string) (Verdict, error)
}

// Verdict is what is known of KVM with a VMM.
type Verdict struct {
	Known  bool
	Reason string // "" works
	At     time.Time
	File   string // that keeps it
}

const theme = "Virtual machine monitors"

// Checks are two for each VMM, and one of all.
func Checks(f Facts) []doctor.Check {
	checks := []doctor.Check{{Name: "vmm", Theme: theme, Look: f.any}}
	for _, name := range f.Names {
		checks = append(checks,
			doctor.Check{Name: name, Theme: theme, Look: func(ctx context.Context) doctor.Finding { return f.program(ctx, name) }},
			doctor.Check{Name: name + "-kvm", Theme: theme, Look: func(ctx context.Context) doctor.Finding { return f.verdict(ctx, name) }},
		)
	}
	return checks
}

// any wants one that runs VMs at all.
func (f Facts) any(ctx context.Context) doctor.Finding {
	last := doctor.Bad(doctor.Fail, doctor.Fix{}, "this bangerd knows no VMM")
	for _, name := range f.Names {
		info, _, err := f.Look(ctx, name)
		if err != nil {
			last = doctor.Broken(doctor.Fail, err)
			last.Found = "no VMM works here: " + last.Found
			continue
		}
		for _, reason := range info.Accels {
			if reason == "" || reason == vmm.NotTried {
				return doctor.Good("VMs can run on %s", info.Name)
			}
		}
		last = doctor.Bad(doctor.Fail, doctor.Fix{Hint: "The check kvm says what mends it."}, "no VMM works here: %s", info.Accels[vmm.AccelKVM])
	}
	return last
}

func (f Facts) program(ctx context.Context, name string) doctor.Finding {
	info, by, err := f.Look(ctx, name)
	switch {
	case errors.Is(err, hostexec.ErrNotInstalled):
		return doctor.Broken(doctor.Warn, err)
	case err != nil: // one that is there and cannot be used
		return doctor.Broken(doctor.Fail, err)
	}
	for _, why := range info.Lacks {
		return doctor.Bad(doctor.Warn, doctor.Fix{Hint: "Its VMs need --network none until then; see the check tun."}, "%s %s at %s can give no network: %s", name, info.Version, info.Path, why)
	}
	return doctor.Good("%s %s at %s (%s)", name, info.Version, info.Path, by)
}

func (f Facts) verdict(ctx context.Context, name string) doctor.Finding {
	info, _, err := f.Look(ctx, name)
	if err != nil {
		return doctor.Skipped("%s cannot be used", name)
	}
	if why := info.Accels[vmm.AccelKVM]; why != "" && why != vmm.NotTried {
		return doctor.Skipped("%s", why)
	}
	v, err := f.Verdict(info.Path)
	switch {
	case err != nil:
		return doctor.Skipped("%v", err)
	case !v.Known:
		return doctor.Skipped("KVM has not been tried with it yet; banger vmm ls does it")
	case v.Reason != "":
		return doctor.Bad(doctor.Warn, doctor.Fix{
			Command: "rm -f " + doctor.Quote(v.File) + " && banger vmm ls", Safe: true,
			Hint: "That tries it again.",
		}, "a guest did not run with KVM: %s", v.Reason)
	}
	return doctor.Good("a guest ran with KVM (%s)", v.At.UTC().Format(time.DateOnly))
}

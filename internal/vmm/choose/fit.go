package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// fit chooses the VMM name, if it runs what is wanted with the first of accels
// that works. Nothing is booted for one that is out of the question anyway.
func (c *Chooser) fit(ctx context.Context, name, why string, w Want, accels ...vmm.Accel) (Choice, error) {
	info, err := c.See(ctx, name, Guest{})
	if err != nil {
		return Choice{}, err
	}
	if err := c.network(info, w); err != nil {
		return Choice{}, err
	}
	if err := format(info, w); err != nil {
		return Choice{}, err
	}
	if err := kernel(info, w); err != nil {
		return Choice{}, err
	}
	accel, err := accelerator(info, w, accels)
	if err == nil && info.Accels[accel] == vmm.NotTried && w.Guest != (Guest{}) {
		if info, err = c.See(ctx, name, w.Guest); err != nil {
			return Choice{}, err
		}
		accel, err = accelerator(info, w, accels)
	}
	if err != nil {
		return Choice{}, err
	}
	return Choice{VMM: name, Why: why, Accel: accel, Isolation: info.Isolation[accel]}, nil
}

// See is Look, and names the VMM in the error of one that is not there or does
// not work.
func (c *Chooser) See(ctx context.Context, name string, guest Guest) (vmm.Info, error) {
	info, err := c.Look(ctx, name, guest)
	if err == nil || ctx.Err() != nil {
		return info, err
	}
	if text := notInstalled(err); text != "" {
		f := fault.From(err)
		return info, &fault.Error{Kind: f.Kind, Hint: f.Hint, Message: text, Err: err}
	}
	return info, fmt.Errorf("%s does not work here: %w", name, err)
}

// notInstalled is the part of err that says which program is missing, "" for
// another error.
func notInstalled(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if errors.Unwrap(err) == hostexec.ErrNotInstalled {
			return err.Error()
		}
	}
	return ""
}

// network wants one that the VMM can be attached to.
func (c *Chooser) network(info vmm.Info, w Want) error {
	if c.joins(info, w.Network) {
		return nil
	}
	hint := "Use another one: --vmm auto."
	if names := c.NetworksOf(info); len(names) > 0 {
		hint = "Use --network " + strings.Join(names, " or ") + ", or --vmm auto."
	}
	for _, b := range c.Networks[w.Network] {
		if why := info.Lacks[b]; why != "" {
			return fault.New(fault.Precondition, hint, "%s has no network %q here: %s", info.Name, w.Network, why)
		}
	}
	return fault.New(fault.Precondition, hint, "%s has no network %q", info.Name, w.Network)
}

// accelerator is the first of accels that is wanted and works.
func accelerator(info vmm.Info, w Want, accels []vmm.Accel) (vmm.Accel, error) {
	var why []string
	for _, accel := range accels {
		if !wanted(w.Accel, accel) {
			continue
		}
		reason, known := info.Accels[accel]
		switch {
		case !known:
			why = append(why, fmt.Sprintf("it has no %s", strings.ToUpper(string(accel))))
		case reason == "" || reason == vmm.NotTried:
			return accel, nil
		default:
			why = append(why, reason)
		}
	}
	return "", fault.New(fault.Precondition, "See what works here: banger vmm ls",
		"%s cannot run this VM here: %s", info.Name, strings.Join(why, "; "))
}

// wanted says whether accel will do.
func wanted(asked, accel vmm.Accel) bool {
	return asked == accel || asked == vmm.AccelAuto || asked == ""
}

// format refuses a root that the VMM cannot read.
func format(info vmm.Info, w Want) error {
	if w.Format == disk.FormatRaw || slices.Contains(info.Formats, w.Format) {
		return nil
	}
	return fault.New(fault.Precondition, "Use another --disk-driver, or --vmm auto.",
		"%s cannot read the root that the disk driver %s makes", info.Name, w.DiskDriver)
}

// kernel refuses a guest's kernel that lacks what the VMM gives it.
func kernel(info vmm.Info, w Want) error {
	var lacks []string
	for _, need := range info.GuestDrivers {
		if slices.Contains(w.Lacks, need) {
			lacks = append(lacks, need)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return fault.New(fault.Precondition, "Use another kernel (banger kernel ls), or --vmm auto.",
		"the kernel %s lacks %s, which %s needs", w.Kernel, strings.Join(lacks, " and "), info.Name)
}

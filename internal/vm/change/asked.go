package change

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/size"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// Asked is what is to be different about a VM; 0, "" and nil leave it as it is.
type Asked struct {
	CPUs        int
	MemoryBytes int64
	DiskBytes   int64 // of the work disk; it only grows
	Network     string
	// Allow adds exceptions from what the network refuses, Disallow takes some
	// away; one that is not there is no error.
	Allow, Disallow []string
	// Labels adds labels or gives them other values, Unlabel takes some away, by
	// their keys; one that is not there is no error.
	Labels    map[string]string
	Unlabel   []string
	Restart   string // as people write it
	Autostart *bool
}

// apply returns what a VM is then; it changes nothing in s.
func (a Asked) apply(s spec.VM) (spec.VM, error) {
	if a.CPUs != 0 {
		s.CPUs = a.CPUs
	}
	if a.MemoryBytes != 0 {
		s.MemoryBytes = a.MemoryBytes
	}
	if a.DiskBytes != 0 {
		s.DiskBytes = a.DiskBytes
	}
	if a.Network != "" {
		s.Network = a.Network
	}
	if a.Restart != "" {
		s.Restart = spec.Restart(a.Restart)
	}
	if a.Autostart != nil {
		s.Autostart = *a.Autostart
	}
	if err := a.relabel(&s); err != nil {
		return s, err
	}
	if err := a.except(&s); err != nil {
		return s, err
	}
	return s.WithDefaults(spec.Defaults{}), nil // for what has one form only
}

// explain adds the next step where a network is asked for that has no exceptions.
func (a Asked) explain(err error, want spec.VM) error {
	var f *fault.Error
	if a.Network == "" || len(a.Allow) > 0 || len(want.AllowHosts) == 0 || !errors.As(err, &f) || f.Kind != fault.Invalid {
		return err
	}
	f.Hint = "Take its exceptions away too: --disallow-host " + strings.Join(want.AllowHosts, " --disallow-host ")
	return f
}

func (a Asked) relabel(s *spec.VM) error {
	labels := maps.Clone(s.Labels)
	for _, key := range a.Unlabel {
		if _, both := a.Labels[key]; both {
			return fault.New(fault.Invalid, "Do one of the two.", "the label %q is to be set and to be taken away", key)
		}
		delete(labels, key)
	}
	if labels == nil && len(a.Labels) > 0 {
		labels = map[string]string{}
	}
	maps.Copy(labels, a.Labels)
	s.Labels = labels
	return nil
}

func (a Asked) except(s *spec.VM) error {
	more, err := forms(a.Allow)
	if err != nil {
		return err
	}
	less, err := forms(a.Disallow)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(slices.Clone(s.AllowHosts), func(e string) bool { return slices.Contains(less, e) })
	for _, e := range more {
		if slices.Contains(less, e) {
			return fault.New(fault.Invalid, "Do one of the two.", "%s is to be allowed and not to be", e)
		}
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if s.AllowHosts = all; len(all) == 0 {
		s.AllowHosts = nil
	}
	return nil
}

// forms brings exceptions into their one form.
func forms(texts []string) (all []string, err error) {
	parsed, err := network.ParseExceptions(texts)
	for _, e := range parsed {
		all = append(all, e.String())
	}
	return all, err
}

func smaller(r vm.Record, has, want int64) error {
	return fault.New(fault.Invalid, "Give it at least what it has, or make a new VM and copy its files.",
		"the work disk of %s has %s and cannot become smaller (%s)", r.Spec.Name, size.Format(has), size.Format(want))
}

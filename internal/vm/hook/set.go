package hook

import (
	"context"
	"errors"
	"log/slog"

	"github.com/banger-vm/banger/internal/operation"
)

// Set is the capabilities of all VMs of a daemon.
type Set struct {
	owner Owner
	log   *slog.Logger
	all   []Capability
}

// NewSet makes a set; the order is that of the steps.
func NewSet(owner Owner, log *slog.Logger, all []Capability) *Set {
	return &Set{owner: owner, log: log, all: all}
}

// named is a hook, whose it is, and the name of its step.
type named struct {
	Hook
	of, step string
}

func (s *Set) at(p Point) (all []named) {
	for _, c := range s.all {
		for _, h := range c.Hooks() {
			if h.At == p {
				all = append(all, named{h, c.Name(), string(p) + ": " + c.Name()})
			}
		}
	}
	return all
}

// Steps are those of an operation that brings a VM to this point. The first one
// that runs lets all that come after it begin; each then waits for its own, so a
// resumed operation repeats no hook whose step was done. brought is by capability.
func (s *Set) Steps(p Point, id string, brought map[string]string) []operation.Step {
	hooks := s.at(p)
	together := newGroup(s, id, hooks, brought)
	steps := make([]operation.Step, len(hooks))
	for i, h := range hooks {
		steps[i] = operation.Step{
			Name: h.step,
			Do:   func(ctx context.Context, _ operation.Report) error { return together.await(ctx, i) },
		}
	}
	return steps
}

// Run does without an operation what the steps of a point do, for a VM that is
// not there any more. It returns all that failed.
func (s *Set) Run(ctx context.Context, p Point, vm VM, brought map[string]string) error {
	var errs []error
	all := newGroup(s, vm.ID, s.at(p), brought)
	all.vm = &vm
	for i := range all.hooks {
		errs = append(errs, all.result(ctx, i))
	}
	all.leave()
	return errors.Join(errs...)
}

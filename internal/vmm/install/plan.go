package install

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// planInstall works in a directory of its own, which goes with a failure; the
// program in use changes in one instant.
func (r *Registry) planInstall(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	if err != nil {
		return operation.Plan{}, err
	}
	product, ok := r.product(p.VMM)
	if !ok {
		return operation.Plan{}, r.notInstallable(p.VMM)
	}
	w := work{Registry: r, params: p, product: product}
	silent := func(do func(context.Context) error) func(context.Context, operation.Report) error {
		return func(ctx context.Context, _ operation.Report) error { return do(ctx) }
	}
	return operation.Plan{
		Steps: []operation.Step{
			{Name: "fetch it", Do: w.fetch, Undo: func(context.Context) error { return w.discard() }},
			{Name: "compare the checksum", Do: silent(w.compare)},
			{Name: "unpack it", Do: silent(w.unpack)},
			{Name: "check the program", Done: w.checked, Do: silent(w.check)},
			{Name: "put it in its place", Final: true, Do: silent(w.place)},
			{Name: "remove the one before", Do: silent(w.tidy)},
		},
		Result: func() any { return w.installed() },
	}, nil
}

func (r *Registry) planRemove(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	if err != nil {
		return operation.Plan{}, err
	}
	if _, ok := r.product(p.VMM); !ok {
		return operation.Plan{}, r.notInstallable(p.VMM)
	}
	return operation.Plan{
		Steps: []operation.Step{
			{
				Name: "look who runs on it",
				Do: func(ctx context.Context, _ operation.Report) error {
					_, err := r.unused(ctx, p.VMM)
					return err
				},
			},
			{
				Name: "remove it", Final: true,
				Do: func(context.Context, operation.Report) error { return r.remove(p.VMM) },
			},
		},
		Result: func() any { return Removed{ID: p.VMM, Stopped: p.Stopped} },
	}, nil
}

// Installed is the result of an installation.
type Installed struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

func (w work) installed() Installed {
	version, err := currentVersion(w.home(w.VMM))
	if err != nil { // it was there a moment ago
		w.log.Error("the version that was installed cannot be read", "vmm", w.VMM, "err", err)
	}
	return Installed{ID: w.VMM, Version: version}
}

// Removed is the result of a removal.
type Removed struct {
	ID string `json:"id"`
	// Stopped are VMs that start again only on another VMM, or once this one
	// is there again.
	Stopped []string `json:"stopped,omitempty"`
}

// work is one installation.
type work struct {
	*Registry
	params
	product Product
}

// wrong is the fault of something given that is not what it should be.
func (w work) wrong(format string, args ...any) error {
	return fault.New(fault.Precondition, "Get "+w.VMM+"'s release from its maker, and check what was given.",
		"%s cannot be installed from %s: %w", w.VMM, shown(w.From), fmt.Errorf(format, args...))
}

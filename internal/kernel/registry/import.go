package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/unfit"
	"github.com/banger-vm/banger/internal/kernel/vmlinux"
	"github.com/banger-vm/banger/internal/naming"
	"github.com/banger-vm/banger/internal/operation"
)

// The kinds of operations on kernels.
const (
	KindImport = "kernel.import"
	KindDelete = "kernel.delete"
)

var names = naming.Rule{
	Owner: "a kernel's",
	Form:  regexp.MustCompile(`^[a-z0-9]([a-z0-9._+~-]{0,61}[a-z0-9])?$`),
	Hint:  "Use --name with 1 to 63 lower-case letters, digits, dots, hyphens, plus signs and underscores, for instance mine-6.12.",
}

// params are the stored parameters of both kinds.
type params struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Vmlinuz string `json:"vmlinuz,omitempty"`
	Modules string `json:"modules,omitempty"`
}

// Operations is what a Registry needs of the operation registry.
type Operations interface {
	Begin(ctx context.Context, req operation.Request) (operation.Record, error)
	Known(ctx context.Context, kind, key string) (*operation.Record, error)
}

// Planners are the planners of the operations on kernels, by kind.
func (r *Registry) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{KindImport: r.planImport, KindDelete: r.planDelete}
}

// Import begins to import a kernel out of a vmlinuz and the directory of its
// modules; without a name it gets that of its version. Paths are absolute, and
// are read as the user of this process.
func (r *Registry) Import(ctx context.Context, vmlinuz, modules, name, key string, ops Operations) (operation.Record, error) {
	if known, err := ops.Known(ctx, KindImport, key); known != nil || err != nil {
		return deref(known), err
	}
	for what, path := range map[string]string{"kernel": vmlinuz, "directory of modules": modules} {
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return operation.Record{}, fault.New(fault.Invalid, "Give its absolute path.", "%q is no path of a %s", path, what)
		}
	}
	release, err := releaseOf(vmlinuz)
	if err != nil {
		return operation.Record{}, explain(err, vmlinuz)
	}
	if name == "" {
		name = strings.ToLower(release)
	}
	if err := names.Check(name); err != nil {
		return operation.Record{}, err
	}
	if name == Default {
		return operation.Record{}, fault.New(fault.Invalid, "Choose another name with --name.", "%s is the name of the default kernel", Default)
	}
	return ops.Begin(ctx, operation.Request{
		Kind: KindImport, Target: target(name), Name: name, Key: key,
		Params: params{ID: newID(), Name: name, Vmlinuz: vmlinuz, Modules: modules},
	})
}

func releaseOf(vmlinuz string) (string, error) {
	f, size, err := kernel.OpenFile(vmlinuz)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return vmlinux.Release(f, size)
}

// explain makes a fault of what is wrong with a kernel that somebody gave.
func explain(err error, vmlinuz string) error {
	var wrong *unfit.Error
	if !errors.As(err, &wrong) {
		return err
	}
	return fault.New(fault.Precondition, "Use a kernel that is built for virtual machines, such as Debian's, with the modules of the same version.",
		"%s cannot be used: %w", vmlinuz, err)
}

// target is a kernel's claim: by name, for one that is made has no row yet.
func target(name string) string { return "kernel/" + name }

func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func deref(rec *operation.Record) operation.Record {
	if rec == nil {
		return operation.Record{}
	}
	return *rec
}

func readParams(op operation.Record) (params, error) {
	var p params
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return p, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	return p, nil
}

func (r *Registry) planImport(op operation.Record) (operation.Plan, error) {
	p, err := readParams(op)
	return operation.Plan{
		Steps: []operation.Step{
			{
				Name: "check the name",
				Do:   func(ctx context.Context, _ operation.Report) error { return r.checkFree(ctx, p) },
			},
			{
				Name: "make it",
				Do:   func(ctx context.Context, report operation.Report) error { return r.make(ctx, p, report) },
				Undo: func(context.Context) error { return r.unmake(p.ID) },
			},
			{
				Name: "record it",
				Do:   func(ctx context.Context, _ operation.Report) error { return r.record(ctx, p) },
				Undo: func(ctx context.Context) error { return r.store.DeleteKernel(ctx, p.ID) },
			},
		},
		Result: func() any { return map[string]string{"id": p.ID} },
	}, err
}

// checkFree refuses a name that another kernel has, before the long work.
func (r *Registry) checkFree(ctx context.Context, p params) error {
	k, err := r.store.Kernel(ctx, p.Name)
	switch {
	case missing(err), err == nil && (k.ID == p.ID || k.Name != p.Name): // a name may look like a prefix of an ID
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.Exists, "Choose another name with --name, or remove it first: banger kernel rm "+p.Name, "there is a kernel %s already", p.Name)
}

func (r *Registry) make(ctx context.Context, p params, report operation.Report) error {
	_, err := r.library.Import(ctx, p.ID, r.cfg.Open(p.Vmlinuz, p.Modules), Progress(report))
	return explain(err, p.Vmlinuz)
}

func (r *Registry) unmake(id string) error {
	if err := r.library.Hide(id); err != nil {
		return err
	}
	return r.library.Remove(id)
}

func (r *Registry) record(ctx context.Context, p params) error {
	k, err := r.library.Get(p.ID)
	if err != nil {
		return err
	}
	return r.store.PutKernel(ctx, describe(k, p.Name, Imported, r.cfg.Now()))
}

// Progress makes an operation's report of a kernel's.
func Progress(report operation.Report) kernel.Report {
	return func(phase string, done, total int64) {
		report(operation.Progress{Phase: phase, Done: done, Total: total, Unit: "bytes"})
	}
}

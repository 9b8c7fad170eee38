package registry

import (
	"context"
	"time"

	"github.com/banger-vm/banger/internal/kernel"
)

// Ensure returns the kernel of that name, by "" the default one, which is made
// where it is not there yet. It cannot be deleted until release is called.
// Holder is for people.
func (r *Registry) Ensure(ctx context.Context, name, holder string, report kernel.Report) (rec Record, release func(), err error) {
	if name == "" || name == Default {
		return r.ensureDefault(ctx, holder, report)
	}
	if rec, err = r.store.Kernel(ctx, name); err != nil {
		return Record{}, nil, err
	}
	if release, err = r.leases.Take(rec.ID, "kernel", holder); err != nil {
		return Record{}, nil, err
	}
	// Only now: a deletion that came before us has removed the row by now.
	if rec, err = r.store.KernelByID(ctx, rec.ID); err != nil {
		release()
		return Record{}, nil, err
	}
	return rec, release, nil
}

func (r *Registry) ensureDefault(ctx context.Context, holder string, report kernel.Report) (Record, func(), error) {
	k, err := r.library.Ensure(ctx, report)
	if err != nil {
		return Record{}, nil, err
	}
	release, err := r.leases.Take(k.ID, "kernel", holder)
	if err != nil {
		return Record{}, nil, err
	}
	// From here on it is not deleted; before, it may have been.
	if _, err = r.library.Get(k.ID); err == nil {
		var rec Record
		if rec, err = r.recordDefault(ctx, k); err == nil {
			return rec, release, nil
		}
	}
	release()
	return Record{}, nil, err
}

// Adopt records the default kernel where a daemon that knew no records made it.
func (r *Registry) Adopt(ctx context.Context) error {
	k, err := r.library.Default()
	if missing(err) {
		return nil
	}
	if err != nil { // it is made again when it is needed
		r.log.Warn("the default kernel cannot be used", "err", err)
		return nil
	}
	_, err = r.recordDefault(ctx, k)
	return err
}

// recordDefault returns the record of the default kernel. An older one, which
// was damaged, keeps its VMs, but not the name.
func (r *Registry) recordDefault(ctx context.Context, k kernel.Kernel) (Record, error) {
	rec, err := r.store.KernelByID(ctx, k.ID)
	if err == nil && rec.Name == Default || err != nil && !missing(err) {
		return rec, err
	}
	older, err := r.store.Kernel(ctx, Default)
	if err == nil && older.Name == Default {
		older.Name = Default + "-" + older.ID[:6]
		err = r.store.PutKernel(ctx, older)
	}
	if err != nil && !missing(err) {
		return Record{}, err
	}
	rec = describe(k, Default, Default, r.cfg.Now())
	return rec, r.store.PutKernel(ctx, rec)
}

func describe(k kernel.Kernel, name, origin string, now time.Time) Record {
	return Record{
		ID: k.ID, Name: name, Origin: origin, Release: k.Release, Source: k.Source,
		Lacks: k.Lacks, SizeBytes: k.SizeBytes, CreatedAt: now.UTC(),
	}
}

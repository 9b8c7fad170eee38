package service

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/console"
	"github.com/banger-vm/banger/internal/fault"
)

// logs reads a VM's console, whether it runs or not.
func (p Parts) logs(ctx context.Context, r api.VMLogsRequest) (api.VMLogs, error) {
	q := console.Query{Since: r.Since, Tail: r.Tail}
	if r.WaitMS > 0 {
		q.Wait = wait(r.WaitMS)
	}
	if r.Offset != nil {
		off := int64(min(*r.Offset, console.MaxOffset))
		q.Offset = &off
	}
	if r.Tail != nil && *r.Tail < 0 {
		return api.VMLogs{}, fault.New(fault.Invalid, "", "the number of lines is negative")
	}
	v, err := p.VMs.Inspect(ctx, r.VM)
	if err != nil {
		return api.VMLogs{}, err
	}
	part, err := console.Read(ctx, v.Dir, q)
	if errors.Is(err, fs.ErrNotExist) { // it has no directory yet, or no longer
		if _, err := p.VMs.Inspect(ctx, v.ID); err != nil {
			return api.VMLogs{}, err
		}
		err = fault.New(fault.Unavailable, "Try again in a moment.", "the VM %s has no files at this moment", v.Spec.Name)
	}
	if err != nil {
		return api.VMLogs{}, err
	}
	out := api.VMLogs{ID: v.ID, Offset: uint64(part.Offset), Data: part.Data, Next: uint64(part.Offset) + uint64(len(part.Data)), End: uint64(part.End)}
	for _, s := range part.Times {
		out.Times = append(out.Times, api.VMLogTime{Offset: uint64(s.Offset), Time: s.Time.UTC().Truncate(time.Millisecond)})
	}
	return out, nil
}

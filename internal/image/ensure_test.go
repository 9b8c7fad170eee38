package image

import (
	"context"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// fakeOps runs an operation when it is followed.
type fakeOps struct {
	t     *testing.T
	w     *world
	busy  string // the operation that holds the target
	req   operation.Request
	state operation.State
}

func (o *fakeOps) Begin(_ context.Context, req operation.Request) (operation.Record, error) {
	o.req = req
	if o.busy != "" {
		return operation.Record{}, &fault.Error{Kind: fault.Busy, Message: "busy", Operation: o.busy}
	}
	return operation.Record{ID: "op1"}, nil
}

func (*fakeOps) Known(context.Context, string, string) (*operation.Record, error) { return nil, nil }

func (o *fakeOps) Changed(_ context.Context, id string, _ time.Duration) (operation.Record, error) {
	rec := operation.Record{ID: id, Kind: KindBootstrap, State: o.state, Progress: operation.Progress{Phase: "image: installing"}}
	if o.state == "" {
		if err := o.w.perform(o.t, o.req); err != nil {
			rec.State, rec.Error = operation.Failed, fault.From(err)
			return rec, nil
		}
		rec.State = operation.Succeeded
	}
	return rec, nil
}

func TestEnsure(t *testing.T) {
	for _, c := range []struct {
		name, image string
		set         func(*world, *fakeOps)
		want        fault.Kind
	}{
		{"made on first use", "debian", func(*world, *fakeOps) {}, ""},
		{"another makes it", "debian", func(_ *world, o *fakeOps) { o.busy = "op0" }, ""},
		{"unknown", "nosuch", func(*world, *fakeOps) {}, fault.NotFound},
		{"fails", "debian", func(w *world, _ *fakeOps) { w.maker.err = fault.New(fault.Unavailable, "", "no network") }, fault.Unavailable},
		{"cancelled", "debian", func(_ *world, o *fakeOps) { o.state = operation.Canceled }, fault.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			ops := &fakeOps{t: t, w: w}
			c.set(w, ops)
			phases := 0
			img, err := w.Ensure(t.Context(), c.image, ops, func(operation.Progress) { phases++ })
			if fault.KindOf(err) != c.want {
				t.Fatalf("got %v (%s), want %q", err, fault.KindOf(err), c.want)
			}
			if c.want == "" && (img.Name != "debian" || phases == 0) {
				t.Fatalf("got %+v after %d reports", img, phases)
			}
		})
	}
}

package image

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// Operations is what a Registry needs of the operation registry.
type Operations interface {
	Begin(ctx context.Context, req operation.Request) (operation.Record, error)
	Known(ctx context.Context, kind, key string) (*operation.Record, error)
	Changed(ctx context.Context, id string, wait time.Duration) (operation.Record, error)
}

// Default is the name of the image that is made on first use.
const Default = "debian"

// Ensure returns the image, and makes the default one where it is not there
// yet, as an operation of its own: several VMs may wait for it, and when one
// of them is given up the others still get it.
func (r *Registry) Ensure(ctx context.Context, name string, ops Operations, report operation.Report) (Image, error) {
	for {
		img, err := r.Find(ctx, name)
		if name != Default || !missing(err) {
			return img, err
		}
		id, err := r.begin(ctx, name, ops)
		if err != nil {
			return Image{}, err
		}
		if err := follow(ctx, ops, id, report); err != nil {
			return Image{}, err
		}
	}
}

// begin begins to make the image, or returns the operation that is busy with it.
func (r *Registry) begin(ctx context.Context, name string, ops Operations) (string, error) {
	req, err := r.BootstrapRequest(ctx, name, "")
	if err != nil {
		return "", err
	}
	op, err := ops.Begin(ctx, req)
	var busy *fault.Error
	if errors.As(err, &busy) && busy.Kind == fault.Busy && busy.Operation != "" {
		return busy.Operation, nil
	}
	return op.ID, err
}

// follow waits for the operation's end and passes its progress on.
func follow(ctx context.Context, ops Operations, id string, report operation.Report) error {
	for {
		op, err := ops.Changed(ctx, id, time.Minute)
		if err != nil {
			return err
		}
		report(op.Progress)
		switch {
		case !op.State.Final():
		case op.State == operation.Canceled:
			return fault.New(fault.Canceled, "Run the command again to make it.", "the making of the image was cancelled (operation %s)", id)
		case op.Kind == KindBootstrap && op.Error != nil:
			return op.Error
		default:
			return nil
		}
	}
}

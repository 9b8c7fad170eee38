package operation

import (
	"context"
	"errors"
	"time"
)

// Get returns an operation by its ID or a unique prefix, with live progress.
func (r *Registry) Get(ctx context.Context, idOrPrefix string) (Record, error) {
	if u := r.live(idOrPrefix); u != nil {
		return u.snapshot(), nil
	}
	rec, err := r.journal.Operation(ctx, idOrPrefix)
	if err != nil {
		return Record{}, err
	}
	return r.overlay(rec), nil
}

// List returns the operations that have not ended, or all that are kept,
// newest first.
func (r *Registry) List(ctx context.Context, all bool) ([]Record, error) {
	recs, err := r.journal.Operations(ctx, all)
	for i := range recs {
		recs[i] = r.overlay(recs[i])
	}
	return recs, err
}

// Wait returns the operation once it has ended; at ctx's end it returns the
// operation as it is, with ctx's error.
func (r *Registry) Wait(ctx context.Context, idOrPrefix string) (Record, error) {
	rec, u, err := r.find(ctx, idOrPrefix)
	if err != nil || u == nil {
		return rec, err
	}
	select {
	case <-u.done:
		return u.snapshot(), u.interrupted()
	case <-ctx.Done():
		return u.snapshot(), ctx.Err()
	}
}

// Changed returns the operation at its next change, or as it is after wait.
func (r *Registry) Changed(ctx context.Context, idOrPrefix string, wait time.Duration) (Record, error) {
	rec, u, err := r.find(ctx, idOrPrefix)
	if err != nil || u == nil {
		return rec, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-u.done:
		return u.snapshot(), u.interrupted()
	case <-u.nextChange():
	case <-timer.C:
	case <-ctx.Done():
		return u.snapshot(), ctx.Err()
	}
	return u.snapshot(), nil
}

// Ended waits for the operation's end for at most wait.
func (r *Registry) Ended(ctx context.Context, idOrPrefix string, wait time.Duration) (Record, error) {
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rec, err := r.Wait(bounded, idOrPrefix)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil // it goes on
	}
	return rec, err
}

// Cancel asks an operation to stop and be undone; it does not wait for that.
// One that has ended, or is being undone already, is left as it is.
func (r *Registry) Cancel(ctx context.Context, idOrPrefix string) (Record, error) {
	rec, u, err := r.find(ctx, idOrPrefix)
	if err != nil || u == nil {
		return rec, err
	}
	return u.requestCancel()
}

// find returns the operation and, if it runs here, its run.
func (r *Registry) find(ctx context.Context, idOrPrefix string) (Record, *run, error) {
	if u := r.live(idOrPrefix); u != nil {
		return Record{}, u, nil
	}
	rec, err := r.journal.Operation(ctx, idOrPrefix)
	if err != nil {
		return Record{}, nil, err
	}
	if u := r.live(rec.ID); u != nil {
		return rec, u, nil
	}
	if !rec.State.Final() { // it ended between the two looks
		rec, err = r.journal.Operation(ctx, rec.ID)
	}
	return rec, nil, err
}

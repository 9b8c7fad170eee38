package fake

import "context"

// GrowWork implements machine.Resizer.
func (r *Runtime) GrowWork(ctx context.Context, dir string, sizeBytes int64) error {
	if r.GrowHook != nil {
		if err := r.GrowHook(ctx, dir, sizeBytes); err != nil {
			return err
		}
	}
	_, err := r.Status(ctx, dir)
	return err
}

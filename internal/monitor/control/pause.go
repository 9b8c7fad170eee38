package control

import (
	"context"

	"github.com/banger-vm/banger/api"
)

// Pause implements machine.Pauser.
func (r *Runtime) Pause(ctx context.Context, dir string) error {
	return r.askAbout(ctx, "pauses", dir, MethodPause, api.Empty{}, patience, &api.Empty{})
}

// Resume implements machine.Pauser.
func (r *Runtime) Resume(ctx context.Context, dir string) error {
	return r.askAbout(ctx, "pauses", dir, MethodResume, api.Empty{}, patience, &api.Empty{})
}

package control

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
)

// GrowRequest says that the work disk's file has SizeBytes now.
type GrowRequest struct {
	SizeBytes int64 `json:"size"`
}

// growing bounds the work of VMM and guest: a guest's kernel writes something
// for each 128 MiB.
const growing = time.Minute

// GrowWork implements machine.Resizer.
func (r *Runtime) GrowWork(ctx context.Context, dir string, sizeBytes int64) error {
	return r.askAbout(ctx, "drives that grow", dir, MethodGrow, GrowRequest{SizeBytes: sizeBytes}, growing, &api.Empty{})
}

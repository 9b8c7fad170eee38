package control

import (
	"context"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
)

// authorizing bounds how long a guest, which may be booting, may take.
const authorizing = 40 * time.Second

var _ machine.Authorizer = (*Runtime)(nil)

// Authorize implements machine.Authorizer.
func (r *Runtime) Authorize(ctx context.Context, dir string) (report wire.AuthReport, err error) {
	err = r.askAbout(ctx, "credentials", dir, MethodAuth, api.Empty{}, authorizing, &report)
	return report, err
}

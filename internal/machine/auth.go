package machine

import (
	"context"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// AuthFile is what of its user's own a machine's guest is to have: a wire.Auth in
// the VM's directory, mode 0600. The daemon writes it, at any time and whole; the
// monitor gives it to the guest with each identity, so with each boot.
const AuthFile = "auth.json"

// Authorizer is how a running machine's guest takes a change of AuthFile. A
// Runtime that implements it does so for the same directories; ErrNotRunning as
// there.
type Authorizer interface {
	// Authorize gives the guest, once it is up, what AuthFile says now.
	Authorize(ctx context.Context, dir string) (wire.AuthReport, error)
}

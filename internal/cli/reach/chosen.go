package reach

import (
	"context"
	"slices"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// AnyPort reports whether one of the forwards is of any free port.
func AnyPort(all []api.Forward) bool {
	return slices.ContainsFunc(all, func(f api.Forward) bool { return f.HostPort == 0 })
}

// TellChosen tells which ports a start has chosen for the forwards of a VM that
// were to have any free one. It does not fail a start that succeeded.
func TellChosen(ctx context.Context, a *app.App, vm string) {
	c, err := a.Client()
	if err != nil {
		return // what comes next needs it too, and tells
	}
	v, err := c.VMInspect(ctx, vm)
	if err != nil {
		return
	}
	for _, f := range v.Forwards {
		if f.HostPort == 0 && f.Port != 0 && !f.Auto {
			a.Say("%s leads to port %d", show.HostEnd(f), f.GuestPort)
		}
	}
}

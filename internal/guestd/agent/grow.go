package agent

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// growWait bounds how long the work disk may take to become larger.
const growWait = 10 * time.Second

// serveGrow grows the work disk's file system. The size is what the host says:
// the drive's own counts.
func (a *Agent) serveGrow(w http.ResponseWriter, r *http.Request) {
	var g wire.Grow
	if !a.decode(w, r, &g) {
		return
	}
	home := a.cfg.Boot.Home
	if home == "" {
		a.fail(w, http.StatusConflict, api.KindFailedPrecondition, errors.New("the work disk is not mounted"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), growWait)
	defer cancel()
	size, err := a.cfg.Grow(ctx, home, g.SizeBytes)
	if err != nil {
		a.log.Error("growing the work disk failed", "err", err)
		a.fail(w, http.StatusConflict, api.KindFailedPrecondition, err)
		return
	}
	a.reply(w, wire.Grown{SizeBytes: size})
}

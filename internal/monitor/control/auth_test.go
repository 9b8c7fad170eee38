package control

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// The daemon's end hands the guest's report on, and a monitor that was there
// before an upgrade says what to do.
func TestAuthorize(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), Config{Program: "/does/not/exist"})
	dir := t.TempDir()
	monitor(t, dir, map[string]rpcserver.Handler{
		MethodAuth: rpcserver.Bind(func(context.Context, api.Empty) (wire.AuthReport, error) {
			return wire.AuthReport{ID: "7", Files: []string{"", "it does not fit"}}, nil
		}),
	})
	if report, err := r.Authorize(t.Context(), dir); err != nil || report.ID != "7" || len(report.Files) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	old := t.TempDir()
	monitor(t, old, map[string]rpcserver.Handler{})
	_, err := r.Authorize(t.Context(), old)
	if f := fault.From(err); f == nil || f.Kind != fault.Precondition || !strings.Contains(f.Message, "had no credentials") || f.Hint == "" {
		t.Errorf("%v", err)
	}
}

package daemon

import (
	"log/slog"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/unit"
)

// Where there is neither systemd nor logind, nothing is held against anybody.
func TestUnitsWithoutSystemd(t *testing.T) {
	for _, uid := range []int{0, 1001} {
		u := &units{Manager: unit.New(unit.Config{UID: uid, Run: t.TempDir()}), log: slog.New(slog.DiscardHandler)}
		var s api.DaemonStatus
		if err := u.describe(t.Context(), &s); err != nil || s.Units != "" || s.Reduced != nil {
			t.Errorf("user %d: %+v, %v", uid, s, err)
		}
		if reduced := u.Reduced(); reduced != nil {
			t.Errorf("user %d: %q", uid, reduced)
		}
	}
}

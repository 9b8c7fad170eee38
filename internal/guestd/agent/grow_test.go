package agent

import (
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guestd/power"
	"github.com/banger-vm/banger/test/guestrig"
)

func TestGrow(t *testing.T) {
	r := newRig(t, power.Systemd)
	r.cfg.Boot.Home = "/home/dev"
	c := guestrig.Serve(t, r.Handler())
	if size, err := c.Grow(t.Context(), 1<<30); err != nil || size != 1<<30 {
		t.Errorf("%d, %v", size, err)
	}
	if _, err := c.Grow(t.Context(), 2<<30); fault.KindOf(err) != fault.Precondition || err.Error() != "the kernel does not grow it" {
		t.Errorf("what fails: %v", err)
	}
	r.cfg.Boot.Home = ""
	if _, err := c.Grow(t.Context(), 1<<20); fault.KindOf(err) != fault.Precondition {
		t.Errorf("without a home: %v", err)
	}
}

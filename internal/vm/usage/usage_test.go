package usage

import (
	"os"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
)

func TestOf(t *testing.T) {
	now := time.Unix(5, 0)
	h := Of(machine.Status{MonitorPID: os.Getpid()}, now)
	if h.VMM != nil || h.Monitor == nil || h.Monitor.PID != os.Getpid() || h.Monitor.Resident <= 0 || h.Monitor.Proportional <= 0 || !h.At.Equal(now) {
		t.Errorf("%+v", h)
	}
	if h := Of(machine.Status{VMM: vmm.Facts{PID: 1 << 30}}, now); h.VMM != nil || h.Monitor != nil {
		t.Errorf("of processes that are gone: %+v", h)
	}
}

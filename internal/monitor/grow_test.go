package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/test/guestrig"
)

// elastic is a machine whose drives grow up to some size.
type elastic struct {
	vmm.Machine
	most int64
	told []int64
}

func (e *elastic) Resize(_ context.Context, slot disk.Slot, size int64) error {
	if slot != disk.SlotWork || size > e.most {
		return errors.New("it does not grow")
	}
	e.told = append(e.told, size)
	return nil
}

// The guest is asked only once its VMM has told it of the new size.
func TestGrow(t *testing.T) {
	mach := &elastic{most: 1 << 30}
	m, _ := answering(t, mach)
	var asked []int64
	m.agent = guestrig.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var g wire.Grow
		if err := json.NewDecoder(r.Body).Decode(&g); err != nil || r.URL.Path != wire.PathGrow || len(mach.told) == 0 {
			t.Error(r.URL.Path, mach.told, err)
		}
		asked = append(asked, g.SizeBytes)
		if err := json.NewEncoder(w).Encode(wire.Grown(g)); err != nil {
			t.Error(err)
		}
	}))
	file := filepath.Join(t.TempDir(), "work.img")
	m.launch.Spec.Drives = []disk.Drive{{Slot: disk.SlotWork, Path: file}}
	grow := func(size int64) error {
		err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, size))
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.handleGrow(t.Context(), control.GrowRequest{SizeBytes: size})
		return err
	}
	if err := grow(1 << 30); err != nil || len(mach.told) != 1 || len(asked) != 1 || asked[0] != 1<<30 {
		t.Errorf("%v, %v, %v", mach.told, asked, err)
	}
	if err := grow(2 << 30); err == nil || len(asked) != 1 {
		t.Errorf("%v, %v", asked, err)
	}
	// A file that is larger would be cut off.
	if _, err := m.handleGrow(t.Context(), control.GrowRequest{SizeBytes: 1 << 29}); fault.KindOf(err) != fault.Precondition || len(mach.told) != 1 {
		t.Errorf("%v, %v", mach.told, err)
	}
	m.machine = nil
	if err := grow(1 << 30); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("between two VMMs: %v", err)
	}
	m.machine = metered{}
	if err := grow(1 << 30); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a VMM that cannot: %v", err)
	}
	m.board.update(func(s *machine.Status) { s.Phase = machine.PhasePaused })
	if err := grow(1 << 30); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a paused machine: %v", err)
	}
}

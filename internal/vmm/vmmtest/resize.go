package vmmtest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

// testResize is for guests that have drives, which can be told that one grew;
// with a limit too, and by who connects later.
func testResize(t *testing.T, h Harness) {
	if h.Drives == "" {
		t.Skip("the guests of this driver have no drives")
	}
	spec := h.Spec(t)
	for i := range spec.Drives {
		spec.Drives[i].Limit = disk.Limit{BytesPerSecond: 1 << 30, OpsPerSecond: 100_000}
	}
	m := start(t, h, spec)
	if _, ok := m.(vmm.Resizer); !ok {
		t.Skip("drives of this driver's machines keep their size")
	}
	agent := up(t, m)
	for _, size := range []int64{64 << 20, 1 << 30} {
		grown := resized(t, spec, m, size)
		for since := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			agent.send(script.Drives)
			sizes := strings.Fields(agent.await(" "))
			if len(sizes) > 1 && sizes[1] == strconv.FormatInt(size/512, 10) {
				break
			}
			if time.Since(since) > Timeout {
				t.Fatalf("the guest's drives have %v, and vdb not %d sectors", sizes, size/512)
			}
		}
		if u, err := disk.FileUsage(grown); err != nil || u.ApparentBytes != size || u.UsedBytes > size/2 {
			t.Errorf("its file: %+v, %v", u, err)
		}
		agent.send(script.Write)
		agent.await(script.Written) // it is the same file
		closeMachine(t, m)
		m = connect(t, h, spec)
		defer closeMachine(t, m)
		agent = openLine(t, m.Agent)
		agent.send("\nhere")
		agent.await(script.Echo + "here")
	}
	if err := m.Kill(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := m.(vmm.Resizer).Resize(within(t), disk.SlotWork, 2<<30); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("of a machine that has ended: %v", err)
	}
}

// resized makes the work disk's file larger and tells the machine, twice.
func resized(t *testing.T, spec vmm.Spec, m vmm.Machine, size int64) (path string) {
	t.Helper()
	for _, d := range spec.Drives {
		if d.Slot == disk.SlotWork {
			path = filepath.Join(spec.Dir, d.Path)
		}
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.(vmm.Resizer).Resize(within(t), disk.SlotWork, size); err != nil {
			t.Fatalf("Resize: %v", err)
		}
	}
	return path
}

package capacity

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/banger-vm/banger/internal/fault"
)

const g = int64(1) << 30

func TestFits(t *testing.T) {
	host := Host{CPUs: 4, MemoryBytes: 16 * g, AvailableBytes: 8 * g, DiskBytes: 100 * g, FreeBytes: 10 * g}
	strict := Policy{MemoryOvercommit: 1, CPUOvercommit: 2, DiskReserve: g}
	for _, c := range []struct {
		name string
		p    Policy
		vms  []Load
		ask  Load
		disk int64
		says string // "" fits
	}{
		{name: "empty host", p: strict, ask: Load{CPUs: 2, MemoryBytes: 8 * g}},
		{name: "one too much", p: strict, ask: Load{CPUs: 2, MemoryBytes: 8*g + 1}, says: "8G of 16G are available"},
		{name: "promised to others", p: strict, vms: []Load{{CPUs: 1, MemoryBytes: 5 * g, ResidentBytes: g}}, ask: Load{CPUs: 1, MemoryBytes: 5 * g}, says: "the 1 that run may yet take 4G"},
		{name: "taken by others already", p: strict, vms: []Load{{CPUs: 1, MemoryBytes: 5 * g, ResidentBytes: 6 * g}}, ask: Load{CPUs: 1, MemoryBytes: 8 * g}},
		{name: "overcommitted", p: Policy{MemoryOvercommit: 2, CPUOvercommit: 2}, vms: []Load{{CPUs: 1, MemoryBytes: 8 * g}}, ask: Load{CPUs: 1, MemoryBytes: 8 * g}},
		{name: "processors", p: strict, vms: []Load{{CPUs: 6, MemoryBytes: 1}}, ask: Load{CPUs: 3, MemoryBytes: 1}, says: "its 4 carry 8 (cpu_overcommit 2), and 6 are in use"},
		{name: "the last processors", p: strict, vms: []Load{{CPUs: 6, MemoryBytes: 1}}, ask: Load{CPUs: 2, MemoryBytes: 1}},
		{name: "disk", p: strict, ask: Load{CPUs: 1, MemoryBytes: 1}, disk: 9*g + 1, says: "10G are free"},
		{name: "disk to the reserve", p: strict, ask: Load{CPUs: 1, MemoryBytes: 1}, disk: 9 * g},
		{name: "made, not started", p: strict, vms: []Load{{CPUs: 100, MemoryBytes: 100 * g}}, disk: g},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Sum
			for _, l := range c.vms {
				s.Add(l)
			}
			err := c.p.Fits(host, s, c.ask, c.disk)
			if (err == nil) != (c.says == "") {
				t.Fatalf("%v", err)
			}
			if err == nil {
				return
			}
			f := fault.From(err)
			if f.Kind != fault.Precondition || !strings.Contains(f.Message, c.says) || !strings.Contains(f.Hint, "--force") {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	if p := (Policy{}).WithDefaults(); p != (Policy{1.5, 16, 256 << 20}) || p.Check() != nil {
		t.Errorf("%+v", p)
	}
	for _, p := range []Policy{{MemoryOvercommit: -1}, {MemoryOvercommit: 1e9}, {CPUOvercommit: -2}, {DiskReserve: -1}} {
		if fault.KindOf(p.Check()) != fault.Invalid {
			t.Errorf("%+v is taken", p)
		}
	}
}

// Of many who ask at once, only as many get room as there is.
func TestLedger(t *testing.T) {
	led := NewLedger()
	var granted atomic.Int32
	var all sync.WaitGroup
	fits := func(s Sum) error {
		if s.VMs >= 3 {
			return fault.New(fault.Precondition, "", "full")
		}
		return nil
	}
	running := map[string]Load{"r": {CPUs: 1}}
	for _, id := range strings.Split("abcdefghij", "") {
		all.Go(func() {
			if led.Grant(id, running, Load{CPUs: 1}, fits) == nil {
				granted.Add(1)
			}
		})
	}
	all.Wait()
	if granted.Load() != 2 {
		t.Errorf("%d were granted", granted.Load())
	}
	// A VM's own grant and its own record do not stand in its way, nor count twice.
	led = NewLedger()
	for range 5 {
		if err := led.Grant("a", map[string]Load{"a": {}, "b": {}, "c": {}}, Load{}, fits); err != nil {
			t.Fatal(err)
		}
	}
	if err := led.Grant("d", map[string]Load{"a": {}, "b": {}}, Load{}, fits); err != nil {
		t.Fatal(err)
	}
	if err := led.Grant("e", map[string]Load{"b": {}}, Load{}, fits); err == nil {
		t.Fatal("b runs, a and d have a grant")
	}
	led.Settle("a")
	if err := led.Grant("e", map[string]Load{"b": {}}, Load{}, fits); err != nil {
		t.Fatal(err)
	}
}

func TestLook(t *testing.T) {
	root := fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\nHugePages_Total:       0\n")}}
	h, err := Look(root, t.TempDir())
	if err != nil || h.MemoryBytes != 16*g || h.AvailableBytes != 8*g || h.CPUs < 1 || h.DiskBytes <= 0 || h.FreeBytes > h.DiskBytes {
		t.Fatalf("%+v, %v", h, err)
	}
	// A container's group, and one above it, bound that.
	for name, text := range map[string]string{
		"proc/self/cgroup":               "1:name=systemd:/x\n0::/a/b\n",
		"sys/fs/cgroup/a/b/memory.max":   "max\n",
		"sys/fs/cgroup/a/memory.max":     "4294967296\n",
		"sys/fs/cgroup/a/memory.current": "3221225472\n",
		"sys/fs/cgroup/a/memory.stat":    "anon 5\ninactive_file 536870912\nactive_file 7\n",
		"sys/fs/cgroup/memory.max":       "8589934592\n",
	} {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if h, err = Look(root, t.TempDir()); err != nil || h.MemoryBytes != 4*g || h.AvailableBytes != g+g/2 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []fstest.MapFS{{}, {"proc/meminfo": {Data: []byte("MemTotal: lots kB\n")}}} {
		if _, err := Look(bad, t.TempDir()); err == nil {
			t.Error("a host without memory is taken")
		}
	}
	if _, err := Look(root, "/nowhere"); err == nil {
		t.Error("a directory that is not there is taken")
	}
}

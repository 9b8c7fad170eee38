package capacity

import (
	"errors"
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
		free int64  // of the disk, 0: enough
		says string // "" fits
	}{
		{name: "empty host", p: strict, ask: Load{CPUs: 2, MemoryBytes: 8 * g}},
		{name: "one too much", p: strict, ask: Load{CPUs: 2, MemoryBytes: 8*g + 1}, says: "8G of 16G are available (memory_overcommit 1)"},
		{name: "promised to others", p: strict, vms: []Load{{CPUs: 1, MemoryBytes: 5 * g, ResidentBytes: g}}, ask: Load{CPUs: 1, MemoryBytes: 5 * g}, says: "of which VMs that run (1) may yet take 4G"},
		{name: "taken by others already", p: strict, vms: []Load{{CPUs: 1, MemoryBytes: 5 * g, ResidentBytes: 6 * g}}, ask: Load{CPUs: 1, MemoryBytes: 8 * g}},
		{name: "overcommitted", p: Policy{MemoryOvercommit: 2, CPUOvercommit: 2}, vms: []Load{{CPUs: 1, MemoryBytes: 8 * g}}, ask: Load{CPUs: 1, MemoryBytes: 8 * g}},
		{name: "processors", p: strict, vms: []Load{{CPUs: 6, MemoryBytes: 1}}, ask: Load{CPUs: 3, MemoryBytes: 1}, says: "its 4 carry 8 (cpu_overcommit 2), and 6 are in use"},
		{name: "the last processors", p: strict, vms: []Load{{CPUs: 6, MemoryBytes: 1}}, ask: Load{CPUs: 2, MemoryBytes: 1}},
		{name: "disk", p: strict, ask: Load{CPUs: 1, MemoryBytes: 1}, free: g / 2, says: "512M are free, and 1G are to stay so"},
		{name: "disk to the reserve", p: strict, ask: Load{CPUs: 1, MemoryBytes: 1}, free: g},
		{name: "made, not started", p: strict, vms: []Load{{CPUs: 100, MemoryBytes: 100 * g}}},
		{name: "made on a full disk", p: strict, free: g / 2, says: "512M are free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Sum
			for _, l := range c.vms {
				s.Add(l)
			}
			h := host
			if c.free != 0 {
				h.FreeBytes = c.free
			}
			err := c.p.Fits(h, s, c.ask)
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
func TestGrant(t *testing.T) {
	host := Host{CPUs: 1, MemoryBytes: 3 * g, AvailableBytes: 3 * g, FreeBytes: g}
	judge := func() *Judge {
		return NewJudge(func() (Host, error) { return host, nil }, Policy{MemoryOvercommit: 1})
	}
	one := Load{CPUs: 1, MemoryBytes: g}
	j := judge()
	var granted atomic.Int32
	var all sync.WaitGroup
	for _, id := range strings.Split("abcdefghij", "") {
		all.Go(func() {
			if j.Grant(id, map[string]Load{"r": one}, one) == nil {
				granted.Add(1)
			}
		})
	}
	all.Wait()
	if granted.Load() != 2 {
		t.Errorf("%d were granted", granted.Load())
	}
	// A VM's own grant and its own record do not stand in its way, nor count twice.
	j = judge()
	for range 5 {
		if err := errors.Join(j.Admits("a", map[string]Load{"a": one, "b": one}, one), j.Grant("a", map[string]Load{"a": one, "b": one}, one)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Grant("d", map[string]Load{"a": one}, one); err != nil {
		t.Fatal(err)
	}
	if j.Admits("e", map[string]Load{"b": one}, one) == nil || j.Grant("e", map[string]Load{"b": one}, one) == nil {
		t.Fatal("b runs, a and d have a grant")
	}
	j.Settle("a")
	if err := j.Grant("e", map[string]Load{"b": one}, one); err != nil {
		t.Fatal(err)
	}
	// What it has itself is there for its next start.
	host.AvailableBytes = g / 2
	if err := judge().Admits("big", map[string]Load{"big": {CPUs: 1, MemoryBytes: 2 * g, ResidentBytes: 2 * g}}, Load{CPUs: 1, MemoryBytes: 2 * g}); err != nil {
		t.Errorf("its own restart: %v", err)
	}
	broken := NewJudge(func() (Host, error) { return Host{}, errors.New("no /proc") }, Policy{})
	if broken.Admits("a", nil, one) == nil || broken.Grant("a", nil, one) == nil {
		t.Error("a host that cannot be looked at carries all")
	}
}

func TestLook(t *testing.T) {
	root := fstest.MapFS{"proc/sys/kernel/osrelease": {Data: []byte("6.1.0\n")}, "proc/meminfo": {Data: []byte("MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\nHugePages_Total:       0\n")}}
	h, err := Look(root, t.TempDir())
	if err != nil || h.MemoryBytes != 16*g || h.AvailableBytes != 8*g || h.CPUs < 1 || h.Kernel != "6.1.0" || h.DiskBytes <= 0 || h.FreeBytes > h.DiskBytes {
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

package kernel

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/kernel/kerneltest"
)

func parse(t testing.TB, dep, builtin string) *Modules {
	m, err := ParseModules(strings.NewReader(dep), strings.NewReader(builtin))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClosureOfDebian(t *testing.T) {
	got, err := parse(t, kerneltest.Dep, kerneltest.Builtin).Closure(Wanted())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range got {
		names = append(names, moduleName(file))
	}
	want := []string{
		"virtio_ring", "virtio", "virtio_mmio", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
		"virtio_console", "failover", "net_failover", "virtio_net", "dm_mod", "dm_bufio", "dm_snapshot",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
}

func TestClosureErrors(t *testing.T) {
	want := []Want{{Name: "a"}}
	for _, c := range []struct{ name, dep, builtin, err string }{
		{"missing", "b.ko:\n", "", "no module a"},
		{"unlisted dependency", "a.ko: b.ko\n", "", "does not list"},
		{"cycle", "a.ko: b.ko\nb.ko: a.ko\n", "", "needs itself"},
		{"built in", "b.ko:\n", "kernel/a.ko\n", ""},
		{"dependency built in", "a.ko: b.ko\n", "b.ko\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.dep, c.builtin).Closure(want)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("got error %v, want %q", err, c.err)
			}
		})
	}
}

// Whatever depends on whatever, each file comes once and after all it needs.
func TestClosureOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "modules")
		needs := make([][]int, n)
		var dep strings.Builder
		for i := range n {
			if i > 0 {
				needs[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(i, 4), rapid.ID[int]).Draw(t, "needs")
			}
			fmt.Fprintf(&dep, "kernel/m-%d.ko:", i)
			for _, j := range needs[i] {
				fmt.Fprintf(&dep, " kernel/m-%d.ko", j)
			}
			dep.WriteString("\n")
		}
		m, err := ParseModules(strings.NewReader(dep.String()), strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		files, err := m.Closure([]Want{{Name: fmt.Sprintf("m_%d", n-1)}, {Name: "m-0"}})
		if err != nil {
			t.Fatal(err)
		}
		for at, file := range files {
			var i int
			if _, err := fmt.Sscanf(path.Base(file), "m-%d.ko", &i); err != nil {
				t.Fatal(err)
			}
			for _, j := range needs[i] {
				if before := slices.Index(files, fmt.Sprintf("kernel/m-%d.ko", j)); before < 0 || before > at {
					t.Fatalf("m-%d needs m-%d, got the order %v", i, j, files)
				}
			}
			if slices.Index(files, file) != at {
				t.Fatalf("%s comes twice: %v", file, files)
			}
		}
	})
}

// FuzzParseModules: what is accepted names only files inside the tree.
func FuzzParseModules(f *testing.F) {
	f.Add(kerneltest.Dep, kerneltest.Builtin)
	f.Add("../../etc/passwd.ko: x.ko\n", "")
	f.Add("/abs/virtio.ko:\n", "kernel/a.ko")
	f.Add("...odd/virtio.ko:\n", "")
	f.Fuzz(func(t *testing.T, dep, builtin string) {
		m, err := ParseModules(strings.NewReader(dep), strings.NewReader(builtin))
		if err != nil {
			return
		}
		var want []Want
		for name := range m.deps {
			want = append(want, Want{Name: name, Optional: true})
		}
		files, err := m.Closure(want)
		if err != nil {
			return
		}
		for _, file := range files {
			if !filepath.IsLocal(file) {
				t.Fatalf("%q leaves the tree", file)
			}
		}
	})
}

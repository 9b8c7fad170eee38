package local

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/kerneltest"
	"github.com/banger-vm/banger/internal/kernel/unfit"
)

const dep = "kernel/drivers/a.ko:\nkernel/b.ko: kernel/drivers/a.ko\n"

// given are a kernel and its modules, as somebody has them.
type given struct {
	t            *testing.T
	dir, modules string
	vmlinuz      string
}

func give(t *testing.T) *given {
	dir := t.TempDir()
	g := &given{t: t, dir: dir, vmlinuz: filepath.Join(dir, "vmlinuz"), modules: filepath.Join(dir, "modules", kerneltest.Release)}
	err := errors.Join(
		os.WriteFile(g.vmlinuz, kerneltest.BzImage([]byte("payload!")), 0o644),
		kerneltest.WriteTree(g.modules, kerneltest.Release, dep, nil),
	)
	if err != nil {
		t.Fatal(err)
	}
	g.write("modules.dep", "stale")
	g.write("modules.alias.bin", "stale")
	return g
}

func (g *given) write(name, body string) {
	g.t.Helper()
	path := filepath.Join(g.modules, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(body), 0o644)); err != nil {
		g.t.Fatal(err)
	}
}

func (g *given) link(to, name string) {
	g.t.Helper()
	if err := os.Symlink(to, filepath.Join(g.modules, name)); err != nil {
		g.t.Fatal(err)
	}
}

// fetch returns the files that are fetched, by name.
func (g *given) fetch(ctx context.Context, s *Source) (kernel.Package, []string, error) {
	g.t.Helper()
	dir := g.t.TempDir()
	pkg, err := s.Fetch(ctx, dir, func(string, int64, int64) {})
	var files []string
	walkErr := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, err := filepath.Rel(dir, path)
			files = append(files, rel)
			return err
		}
		return err
	})
	if walkErr != nil {
		g.t.Fatal(walkErr)
	}
	return pkg, files, err
}

const tree = "lib/modules/" + kerneltest.Release + "/"

var whole = []string{
	tree + "kernel/b.ko", tree + "kernel/drivers/a.ko", tree + "modules.builtin", tree + "modules.order", "vmlinuz",
}

func TestFetch(t *testing.T) {
	g := give(t)
	elsewhere := filepath.Join(g.dir, "root")
	if err := os.MkdirAll(filepath.Join(elsewhere, "lib", "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(g.modules, filepath.Join(g.dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, modules := range map[string]string{
		"the directory":    g.modules,
		"what holds it":    filepath.Dir(g.modules),
		"by a link":        filepath.Join(g.dir, "link"),
		"INSTALL_MOD_PATH": elsewhere,
	} {
		if modules == elsewhere {
			if err := kerneltest.WriteTree(filepath.Join(elsewhere, "lib", "modules", kerneltest.Release), kerneltest.Release, dep, nil); err != nil {
				t.Fatal(err)
			}
		}
		pkg, files, err := g.fetch(t.Context(), New(g.vmlinuz, modules))
		want := kernel.Package{Release: kerneltest.Release, Vmlinuz: "vmlinuz", Source: g.vmlinuz}
		if diff := cmp.Diff(want, pkg); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if diff := cmp.Diff(whole, files); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFetchOfELF(t *testing.T) {
	g := give(t)
	if err := os.WriteFile(g.vmlinuz, kerneltest.Vmlinux(3<<20, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	if pkg, _, err := g.fetch(t.Context(), New(g.vmlinuz, g.modules)); err != nil || pkg.Release != kerneltest.Release {
		t.Errorf("%+v, %v", pkg, err)
	}
}

// Nothing is read outside of the directory, and nothing that is no module.
func TestHostileTree(t *testing.T) {
	g := give(t)
	secret := filepath.Join(g.dir, "secret.ko")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.link(secret, "kernel/absolute.ko")
	g.link("../../../secret.ko", "kernel/relative.ko")
	g.link("/usr/src", "build")
	g.link(g.dir, "kernel/out")
	g.link("nowhere.ko", "kernel/dangling.ko")
	g.link("loop.ko", "kernel/loop.ko")
	g.link("drivers/a.ko", "kernel/inside.ko.xz")
	g.write("source/tools/x.ko", "what a kernel is built with")
	g.write("kernel/README", "text")
	if err := syscall.Mkfifo(filepath.Join(g.modules, "kernel/pipe.ko"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.modules, "kernel/dir.ko"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, files, err := g.fetch(t.Context(), New(g.vmlinuz, g.modules))
	want := slices.Insert(slices.Clone(whole), 2, tree+"kernel/inside.ko.xz")
	if diff := cmp.Diff(want, files); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestRefused(t *testing.T) {
	replace := func(b []byte) func(*given) {
		return func(g *given) {
			if err := os.WriteFile(g.vmlinuz, b, 0o644); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	arm := make([]byte, 4096)
	copy(arm[56:], "ARMd")
	unnamed := kerneltest.BzImage([]byte("payload!"))
	copy(unnamed[0x300:], "../../etc ")
	for _, c := range []struct {
		name, want string
		spoil      func(*given)
	}{
		{"no kernel", "neither an ELF nor a bzImage", replace(bytes.Repeat([]byte("hello "), 500))},
		{"empty", "it has 0 bytes", replace(nil)},
		{"arm64", "for arm64", replace(arm)},
		{"truncated", "outside of the file", replace(kerneltest.BzImage(make([]byte, 5000))[:3000])},
		{"no version", "does not say its version", replace(unnamed)},
		{"a directory", "no regular file", func(g *given) { g.vmlinuz = g.dir }},
		{"a pipe", "no regular file", func(g *given) {
			g.vmlinuz += ".pipe"
			if err := syscall.Mkfifo(g.vmlinuz, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"modules of another version", "no directory of modules of the kernel 6.1-test", func(g *given) {
			other := filepath.Join(g.dir, "modules", "6.2")
			if err := os.Rename(g.modules, other); err != nil {
				t.Fatal(err)
			}
			g.modules = filepath.Dir(other)
		}},
		{"not modules", "it has no modules.builtin", func(g *given) { g.modules = g.dir }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := give(t)
			c.spoil(g)
			_, _, err := g.fetch(t.Context(), New(g.vmlinuz, g.modules))
			var wrong *unfit.Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	g := give(t)
	for _, s := range []*Source{New(g.vmlinuz+".no", g.modules), New(g.vmlinuz, g.modules+".no")} {
		if _, _, err := g.fetch(t.Context(), s); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), ".no") {
			t.Errorf("got %v", err)
		}
	}
}

func TestBounds(t *testing.T) {
	g := give(t)
	s := New(g.vmlinuz, g.modules)
	s.left = int64(len(kerneltest.BzImage([]byte("payload!")))) + 100
	_, _, err := g.fetch(t.Context(), s)
	var wrong *unfit.Error
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "GiB") {
		t.Errorf("too many bytes: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("given up")
	cancel(cause)
	if _, _, err := g.fetch(ctx, New(g.vmlinuz, g.modules)); !errors.Is(err, cause) {
		t.Errorf("given up: %v", err)
	}
}

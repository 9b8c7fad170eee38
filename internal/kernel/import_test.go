package kernel

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel/kerneltest"
	"github.com/banger-vm/banger/internal/kernel/unfit"
)

const importID = "00112233aabbccdd"

// packers are the ways in which modules are packed.
func packers(t *testing.T) map[string]func([]byte) ([]byte, string) {
	write := func(b []byte, open func(io.Writer) io.WriteCloser) []byte {
		var out bytes.Buffer
		w := open(&out)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	return map[string]func([]byte) ([]byte, string){
		"plain": nil,
		"gzip": func(b []byte) ([]byte, string) {
			return write(b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }), ".gz"
		},
		"zstd": func(b []byte) ([]byte, string) {
			return write(b, func(w io.Writer) io.WriteCloser {
				e, err := zstd.NewWriter(w)
				if err != nil {
					t.Fatal(err)
				}
				return e
			}), ".zst"
		},
		"xz": func(b []byte) ([]byte, string) {
			cmd := exec.Command("xz", "--check=crc32", "--lzma2=dict=1MiB") // as a kernel's build
			cmd.Stdin = bytes.NewReader(b)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal("xz: ", err)
			}
			return out, ".xz"
		},
	}
}

// files are the names below the library's directory.
func files(t *testing.T, l *Library) []string {
	t.Helper()
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// However modules are packed, guests get them plain, in the initramfs and on
// the disk, and depmod sees them so.
func TestImportUnpacksModules(t *testing.T) {
	for name, pack := range packers(t) {
		t.Run(name, func(t *testing.T) {
			l, src, run := newLibrary(t)
			src.pack = pack
			reply := run.Reply
			var seen []string
			run.Reply = func(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
				if cmd.Name == "depmod" {
					seen, _ = filepath.Glob(filepath.Join(cmd.Args[1], "lib/modules", cmd.Args[2], "kernel/drivers/md/*"))
				}
				return reply(ctx, cmd)
			}
			k, err := l.Import(t.Context(), importID, src, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if k.ID != importID || k.Release != kerneltest.Release || !slices.Equal(k.Lacks, []string{vsock}) || k.SizeBytes == 0 {
				t.Errorf("got %+v", k)
			}
			if len(seen) != 3 || filepath.Base(seen[2]) != "dm-snapshot.ko" {
				t.Errorf("depmod saw %v", seen)
			}
			for _, m := range k.Modules {
				body, err := os.ReadFile(filepath.Join(filepath.Dir(k.Vmlinux), modulesDir, m))
				if err != nil || !bytes.Equal(body, kerneltest.Module(kerneltest.Release)) {
					t.Errorf("%s: %d bytes, %v", m, len(body), err)
				}
			}
			if got := files(t, l); !slices.Equal(got, []string{importID}) {
				t.Errorf("left %v", got)
			}
			if again, err := l.Import(t.Context(), importID, src, quiet); err != nil || again.ID != k.ID || src.fetched != 1 {
				t.Errorf("again: %+v, %v, fetched %d times", again, err, src.fetched)
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	without := func(names ...string) func(*fakeSource) {
		return func(s *fakeSource) {
			var dep strings.Builder
			for line := range strings.Lines(s.dep) {
				if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(strings.SplitN(line, ":", 2)[0], n) }) {
					dep.WriteString(line)
				}
			}
			s.dep = dep.String()
		}
	}
	packedAs := func(suffix string, body []byte) func(*fakeSource) {
		return func(s *fakeSource) { s.pack = func([]byte) ([]byte, string) { return body, suffix } }
	}
	arm := kerneltest.Module(kerneltest.Release)
	arm[18] = 183
	for _, c := range []struct {
		name, want string
		spoil      func(*fakeSource)
	}{
		{"no drives", "no virtio_blk, which", without("virtio_blk")},
		{"no transport and no drives", "no virtio_mmio and no virtio_blk", without("virtio_blk", "virtio_mmio")},
		{"no channel", "neither virtio_console nor vmw_vsock_virtio_transport", without("virtio_console")},
		{"modules of another version", `it is for the kernel "6.2-other", and this is 6.1-test`, packedAs("", kerneltest.Module("6.2-other"))},
		{"modules for arm64", "x86-64 is needed", packedAs("", arm)},
		{"no modules", "no kernel module", packedAs("", []byte("text"))},
		{"damaged modules", "cannot be unpacked", packedAs(".xz", []byte("text"))},
		{"no kernel", "neither an ELF nor", func(s *fakeSource) { s.vmlinux = make([]byte, 5000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, src, _ := newLibrary(t)
			c.spoil(src)
			_, err := l.Import(t.Context(), importID, src, quiet)
			var wrong *unfit.Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
			if _, err := l.Get(importID); err == nil {
				t.Error("it is found")
			}
			if err := errors.Join(l.Hide(importID), l.Remove(importID)); err != nil || len(files(t, l)) > 0 {
				t.Errorf("left %v, %v", files(t, l), err)
			}
		})
	}
}

// Modules that become too much are unpacked no further than there is room.
func TestModulesOfNoEnd(t *testing.T) {
	for name, pack := range packers(t) {
		if pack == nil {
			pack = func(b []byte) ([]byte, string) { return b, "" }
		}
		body, suffix := pack(slices.Concat(kerneltest.Module(kerneltest.Release), make([]byte, 4<<20)))
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.ko"+suffix), body, 0o600); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if _, err := plainModule(root, "a.ko"+suffix, kerneltest.Release, 1<<20); !errors.Is(err, errTreeTooBig) {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "a.ko")); suffix != "" && (err != nil || info.Size() > 1<<20) {
			t.Errorf("%s: it was unpacked to %v, %v", name, info, err)
		}
	}
}

func TestModuleThatIsThereTwice(t *testing.T) {
	l, src, _ := newLibrary(t)
	src.pack = packers(t)["gzip"]
	src.also = func(tree string) error {
		return os.WriteFile(filepath.Join(tree, "kernel/drivers/md/dm-mod.ko"), kerneltest.Module(kerneltest.Release), 0o600)
	}
	if _, err := l.Import(t.Context(), importID, src, quiet); err == nil || !strings.Contains(err.Error(), "dm-mod.ko.gz: it is there twice") {
		t.Errorf("got %v", err)
	}
}

func TestLacks(t *testing.T) {
	for without, want := range map[string][]string{
		"dm-snapshot":    {vsock, snapshot},
		"virtio_net.ko":  {vsock, network},
		"nothing":        {vsock},
		"the PVH entry ": {vsock, pvh},
	} {
		t.Run(without, func(t *testing.T) {
			l, src, _ := newLibrary(t)
			var dep strings.Builder
			for line := range strings.Lines(src.dep) {
				if !strings.Contains(strings.SplitN(line, ":", 2)[0], without) {
					dep.WriteString(line)
				}
			}
			src.dep = dep.String()
			if slices.Contains(want, pvh) {
				src.vmlinux = kerneltest.Vmlinuz(kerneltest.Vmlinux(2000, kerneltest.Note[:8]))
			}
			k, err := l.Import(t.Context(), importID, src, quiet)
			if err != nil || !slices.Equal(k.Lacks, want) {
				t.Errorf("%v, %v", k.Lacks, err)
			}
			if again, err := l.Get(importID); err != nil || !slices.Equal(again.Lacks, want) {
				t.Errorf("when it is read again: %v, %v", again.Lacks, err)
			}
		})
	}
}

func TestImportIsCancelled(t *testing.T) {
	l, src, _ := newLibrary(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("given up")
	_, err := l.Import(ctx, importID, src, func(phase string, _, _ int64) {
		if phase == "kernel: unpacking the modules" {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) {
		t.Fatalf("got %v", err)
	}
	if _, err := l.Import(t.Context(), importID, src, quiet); err != nil {
		t.Fatalf("and then, all being well: %v", err)
	}
}

// A default kernel that is removed and made again meanwhile has the same ID.
func TestRemoveLeavesWhatWasMadeAgain(t *testing.T) {
	l, _, _ := newLibrary(t)
	k, err := l.Ensure(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Hide(k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Default(); err == nil {
		t.Error("it is still the default")
	}
	again, err := l.Ensure(t.Context(), quiet)
	if err != nil || again.ID != k.ID {
		t.Fatal(again.ID, err)
	}
	if err := l.Remove(k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Default(); err != nil {
		t.Error(err)
	}
	if got := files(t, l); len(got) != 2 || !slices.Contains(got, k.ID) || !slices.Contains(got, defaultLink) {
		t.Errorf("there are %v", got)
	}
	for _, id := range []string{"", "../../etc", defaultLink} {
		if l.Hide(id) == nil || l.Remove(id) == nil {
			t.Errorf("%q was taken", id)
		}
	}
}

// FuzzCheckModule: no input makes it panic.
func FuzzCheckModule(f *testing.F) {
	f.Add(kerneltest.Module(kerneltest.Release))
	f.Add(kerneltest.Vmlinux(100, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if err := checkModule(bytes.NewReader(in), kerneltest.Release); err == nil && !bytes.Contains(in, []byte("vermagic="+kerneltest.Release)) {
			t.Error("it was taken")
		}
	})
}

package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

const release = "6.1.0-56-cloud-amd64"

// fakeHost is a Debian host with one kernel package.
type fakeHost struct {
	*hostexec.Recorder
	deb    []byte // what the mirror has
	digest string // what the index says of it
	tar    []byte // what dpkg-deb makes of it
}

func newHost(t *testing.T) *fakeHost {
	h := &fakeHost{deb: []byte("a package"), tar: kernelTar(t, nil)}
	sum := sha256.Sum256(h.deb)
	h.digest = hex.EncodeToString(sum[:])
	h.Recorder = &hostexec.Recorder{Reply: h.reply}
	return h
}

func (h *fakeHost) reply(_ context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
	switch cmd.Name + " " + cmd.Args[0] {
	case "apt-cache show":
		if cmd.Args[2] == metaPackage {
			return hostexec.Result{Stdout: []byte("Package: " + metaPackage + "\nDescription: x\n long\nDepends: linux-image-" + release + " (= 6.1.192-2)\n\nPackage: second\n")}, nil
		}
		return hostexec.Result{Stdout: fmt.Appendf(nil, "Package: x\nSize: %d\nSHA256: %s\n", len(h.deb), h.digest)}, nil
	case "apt-get -q":
		status := []byte("dlstatus:1:50.0:Retrieving\nGet:1 x\ndlstatus:1:100:done\n")
		return hostexec.Result{Stdout: status}, os.WriteFile(filepath.Join(cmd.Dir, "linux.deb"), h.deb, 0o644)
	case "dpkg-deb --fsys-tarfile":
		return hostexec.Result{Stdout: h.tar}, nil
	}
	return hostexec.Result{}, fmt.Errorf("unexpected command %s", cmd)
}

// kernelTar is the content of a kernel package, and more.
func kernelTar(t testing.TB, more map[string]string) []byte {
	files := map[string]string{
		"./boot/vmlinuz-" + release:                          "kernel",
		"./boot/config-" + release:                           "config",
		"./lib/modules/" + release + "/modules.builtin":      "",
		"./usr/lib/modules/" + release + "/kernel/virtio.ko": "module",
		"./usr/share/doc/copyright":                          "text",
	}
	for name, body := range more {
		files[name] = body
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), make([]byte, 100_000)...) // padding
}

func tree(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, err := filepath.Rel(dir, path)
			files = append(files, rel)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func quiet(string, int64, int64) {}

func TestFetch(t *testing.T) {
	h, cache, dir := newHost(t), t.TempDir(), t.TempDir()
	var progress []int64
	pkg, err := New(Config{CacheDir: cache}, h).Fetch(t.Context(), dir, func(phase string, done, _ int64) {
		if phase == "kernel: downloading" {
			progress = append(progress, done)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if pkg.Release != release || pkg.Vmlinuz != "boot/vmlinuz-"+release || pkg.Source != "Debian linux-image-"+release+" 6.1.192-2" {
		t.Fatalf("got %+v", pkg)
	}
	want := []string{"boot/vmlinuz-" + release, "lib/modules/" + release + "/kernel/virtio.ko", "lib/modules/" + release + "/modules.builtin"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Fatal(diff)
	}
	if !slices.Equal(progress, []int64{0, 4, 9}) {
		t.Errorf("progress %v", progress)
	}
	wantLines := `apt-cache show --no-all-versions linux-image-cloud-amd64
apt-cache show --no-all-versions linux-image-6.1.0-56-cloud-amd64=6.1.192-2
apt-get -q -o APT::Sandbox::User=root -o APT::Status-Fd=1 download linux-image-6.1.0-56-cloud-amd64=6.1.192-2
dpkg-deb --fsys-tarfile ` + filepath.Join(cache, "kernels", h.digest+".deb") + "\n"
	if diff := cmp.Diff(wantLines, h.String()); diff != "" {
		t.Error(diff)
	}
}

// Another kind of kernel is that of another package.
func TestOtherPackage(t *testing.T) {
	h := newHost(t)
	h.Reply = func(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
		if cmd.Name == "apt-cache" && cmd.Args[2] == "linux-image-6.1-amd64" {
			cmd.Args[2] = metaPackage
		}
		return h.reply(ctx, cmd)
	}
	s := New(Config{CacheDir: t.TempDir(), Package: "linux-image-6.1-amd64"}, h)
	if pkg, err := s.Fetch(t.Context(), t.TempDir(), quiet); err != nil || pkg.Release != release {
		t.Errorf("%+v, %v", pkg, err)
	}
	for depends, want := range map[string]string{
		"linux-image-6.1.0-56-amd64 (= 6.1.192-2)":                         "linux-image-6.1.0-56-amd64",
		"x, linux-image-6.12.117+deb12-cloud-amd64 (= 6.12.117-1~deb12u1)": "linux-image-6.12.117+deb12-cloud-amd64",
		"linux-image-6.1.0-56-arm64 (= 6.1.192-2)":                         "",
		"linux-image-6.1.0-56-amd64":                                       "",
	} {
		m := dependsRE.FindStringSubmatch(depends)
		if got := append(m, "", "")[min(1, len(m))]; got != want {
			t.Errorf("%s: %q", depends, got)
		}
	}
}

func downloads(h *fakeHost) int { return strings.Count(h.String(), " download ") }

func TestCacheIsUsedButNotTrusted(t *testing.T) {
	h, cache := newHost(t), t.TempDir()
	s := New(Config{CacheDir: cache}, h)
	for range 2 {
		if _, err := s.Fetch(t.Context(), t.TempDir(), quiet); err != nil {
			t.Fatal(err)
		}
	}
	if n := downloads(h); n != 1 {
		t.Fatalf("%d downloads for two fetches", n)
	}
	if err := os.WriteFile(filepath.Join(cache, "kernels", h.digest+".deb"), []byte("A package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), t.TempDir(), quiet); err != nil {
		t.Fatal(err)
	}
	if n := downloads(h); n != 2 {
		t.Fatalf("a damaged package in the cache was used (%d downloads)", n)
	}
	if files := tree(t, cache); len(files) != 1 {
		t.Fatalf("the cache holds %v", files)
	}
}

func TestFetchFails(t *testing.T) {
	fails := func(name string, err error) func(*fakeHost) {
		return func(h *fakeHost) {
			h.Reply = func(ctx context.Context, cmd hostexec.Cmd) (hostexec.Result, error) {
				if cmd.Name == name {
					return hostexec.Result{}, err
				}
				return h.reply(ctx, cmd)
			}
		}
	}
	exit := &hostexec.ExitError{Name: "x", Code: 100, Last: "E: no"}
	for _, c := range []struct {
		name, want string
		kind       fault.Kind
		spoil      func(*fakeHost)
	}{
		{"no apt", "Run banger on Debian.", fault.Precondition, fails("apt-cache", hostexec.ErrNotInstalled)},
		{"no lists", "sudo apt-get update", fault.Precondition, fails("apt-cache", exit)},
		{"empty answer", "sudo apt-get update", fault.Precondition, fails("apt-cache", nil)},
		{"no network", "Check the network", fault.Unavailable, fails("apt-get", exit)},
		{"nothing fetched", "left 0 packages", fault.Internal, fails("apt-get", nil)},
		{"wrong package", "checksum", fault.Internal, func(h *fakeHost) { h.deb = []byte("another one") }},
		{"dpkg-deb fails", "x failed", fault.Internal, fails("dpkg-deb", exit)},
		{"empty package", "holds no vmlinuz", fault.Internal, func(h *fakeHost) { h.tar = make([]byte, 10240) }},
		{"no tar", "damaged", fault.Internal, func(h *fakeHost) { h.tar = bytes.Repeat([]byte("x"), 10240) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, cache := newHost(t), t.TempDir()
			c.spoil(h)
			_, err := New(Config{CacheDir: cache}, h).Fetch(t.Context(), t.TempDir(), quiet)
			if f := fault.From(err); err == nil || f.Kind != c.kind || !strings.Contains(f.Message+f.Hint, c.want) {
				t.Fatalf("got %v (%s), want %s with %q", err, fault.KindOf(err), c.kind, c.want)
			}
			for _, file := range tree(t, cache) {
				if !strings.HasSuffix(file, h.digest+".deb") {
					t.Errorf("left in the cache: %s", file)
				}
			}
		})
	}
}

// What this host cannot write is not the package's fault.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "boot/vmlinuz-"+release), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{CacheDir: t.TempDir()}, newHost(t)).Fetch(t.Context(), dir, quiet)
	if !errors.Is(err, syscall.EISDIR) || strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// FuzzUntar: whatever the archive holds, nothing is written outside.
func FuzzUntar(f *testing.F) {
	f.Add(kernelTar(f, nil))
	f.Add(kernelTar(f, map[string]string{"./lib/modules/" + release + "/../../../../out": "x", "../out": "y"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_ = untar(bytes.NewReader(in), root, release) // most inputs are no archive
		for _, file := range tree(t, base) {
			name, _ := strings.CutPrefix(file, "in/")
			if name != "boot/vmlinuz-"+release && !strings.HasPrefix(name, "lib/modules/"+release+"/") {
				t.Fatalf("wrote %s", file)
			}
		}
	})
}

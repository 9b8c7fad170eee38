package bootstrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

func TestParseSources(t *testing.T) {
	const list = `Debian|bookworm|main|http://mirror.example/debian/|amd64
Debian|bookworm|contrib|http://mirror.example/debian/|amd64
Debian|bookworm|main|http://mirror.example/debian/|i386
Debian|bookworm-updates|main|http://mirror.example/debian/|amd64
Debian|bookworm-security|main|https://u:secret@sec.example/debian-security/|amd64
Debian|bookworm-backports|main|http://mirror.example/debian/|amd64
Debian|trixie|main|http://mirror.example/debian/|amd64
Docker|bookworm|stable|https://download.example/linux/debian/|amd64
||main|http://no-lists.example/|amd64
Debian|bookworm|main|cdrom:[Debian 12]/|amd64
Debian|bookworm|main|file:/srv/mirror/|amd64
Debian|bookworm|main|http://x.example/[trusted=yes] y|amd64
garbage
`
	got := parseSources(list, "bookworm")
	want := []source{
		{"http://mirror.example/debian/", "bookworm", []string{"main", "contrib"}},
		{"http://mirror.example/debian/", "bookworm-updates", []string{"main"}},
		{"https://u:secret@sec.example/debian-security/", "bookworm-security", []string{"main"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(source{})); diff != "" {
		t.Fatal(diff)
	}
	if line := got[2].line("/k.gpg"); line != "deb [signed-by=/k.gpg] https://u:secret@sec.example/debian-security/ bookworm-security main" {
		t.Errorf("got %s", line)
	}
	if list := (recipe{sources: got}).sourcesList(); strings.Contains(list, "secret") {
		t.Errorf("a password would get into the image:\n%s", list)
	}
}

func TestNoSources(t *testing.T) {
	h := newHost()
	for index, want := range map[string]string{
		"":                                     "apt-get update",
		"||main|http://x/|amd64\n":             "apt-get update",
		"Debian|trixie|main|http://x/|amd64\n": "for bookworm",
		"Debian|bookworm-updates|main|http://x/|amd64\n": "for bookworm",
	} {
		h.index = index
		_, err := newBuilder(t, h, "").Make(t.Context(), t.TempDir(), quiet)
		if f := fault.From(err); err == nil || f.Kind != fault.Precondition || !strings.Contains(f.Message+f.Hint, want) {
			t.Errorf("%q: got %v", index, err)
		}
	}
}

func TestForeignHost(t *testing.T) {
	for body, want := range map[string]string{
		"ID=ubuntu\nPRETTY_NAME=\"Ubuntu 24.04\"\nVERSION_CODENAME=noble\n": "this host is Ubuntu 24.04",
		"":            "this host is unknown",
		"ID=debian\n": "this host is unknown",
	} {
		b := newBuilder(t, newHost(), "")
		if err := os.WriteFile(b.cfg.OSRelease, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := b.Make(t.Context(), t.TempDir(), quiet)
		if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", body, err)
		}
	}
	b := newBuilder(t, newHost(), "")
	b.cfg.Keyring = "/nonexistent"
	if _, err := b.Make(t.Context(), t.TempDir(), quiet); fault.KindOf(err) != fault.Precondition {
		t.Errorf("without Debian's keys: got %v", err)
	}
}

func TestHostAptConf(t *testing.T) {
	h := newHost()
	h.Reply = func(context.Context, hostexec.Cmd) (hostexec.Result, error) {
		return hostexec.Result{Stdout: []byte(`Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
Acquire::Check-Valid-Until "false";
Acquire::AllowInsecureRepositories "1";
Acquire::GzipIndexes "true";
DPkg::Post-Invoke:: "rm -rf /";
`)}, nil
	}
	got, err := newBuilder(t, h, "").hostAptConf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = `Acquire::http::Proxy "http://proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
Acquire::Check-Valid-Until "false";
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestCustomize(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "resolv.conf")
	for name, body := range map[string]string{
		"etc/ssh/ssh_host_ed25519_key": "secret", "etc/ssh/ssh_host_ed25519_key.pub": "x", "etc/ssh/sshd_config": "keep",
		"etc/hostname": "this-host", "etc/machine-id": "0123", "etc/apt/apt.conf.d/99mmdebstrap": "proxy",
		"etc/apt/sources.list": "http://u:secret@x", "var/log/apt/term.log": "x", "etc/systemd/system/getty@.service": "x",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	now := time.Now().Add(time.Minute)
	r := recipe{keyring: "/k.gpg", sources: []source{{"http://x.example/", "bookworm", []string{"main"}}}}
	for range 2 { // again does no harm
		if err := customize(root, r, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{"etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub", "etc/hostname", "etc/apt/apt.conf.d/99mmdebstrap", "var/log/apt"} {
		if _, err := root.Lstat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	for name, want := range map[string]string{
		"etc/machine-id": "", "etc/ssh/sshd_config": "keep", "etc/sudoers.d/banger": "dev ALL=(ALL:ALL) NOPASSWD: ALL\n",
		"etc/apt/sources.list": "deb [signed-by=/k.gpg] http://x.example/ bookworm main\n",
	} {
		if got, err := root.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if st, err := root.Stat("etc/sudoers.d/banger"); err != nil || st.Mode() != 0o440 {
		t.Errorf("sudo ignores a file of mode %v (%v)", st.Mode(), err)
	}
	if to, err := root.Readlink("etc/systemd/system/getty@.service"); err != nil || to != "/dev/null" {
		t.Errorf("getty is not masked: %q, %v", to, err)
	}
	if st, err := root.Stat("etc/.updated"); err != nil || st.ModTime().Before(now.Add(-time.Second)) {
		t.Errorf("etc/.updated: %v, %v", st, err)
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("a link was followed out of the tree")
	}
}

// Whatever a file holds and wherever its holes are, the copy is the same, is
// as sparse, and has the same digest; another content has another one.
func TestCopySparse(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		defer os.Remove(from)
		defer os.Remove(to)
		size := rapid.Int64Range(0, 8<<20).Draw(t, "size")
		f, err := os.Create(from)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 5).Draw(t, "extents") {
			at := rapid.Int64Range(0, max(size-1, 0)).Draw(t, "at")
			body := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, 20_000).Draw(t, "len"))
			if _, err := f.WriteAt(body[:min(int64(len(body)), size-at)], at); err != nil {
				t.Fatal(err)
			}
		}
		digest, err := copySparse(context.Background(), from, to, func(int64, int64) {})
		if err != nil {
			t.Fatal(err)
		}
		a, b := sum(t, from), sum(t, to)
		if a != b {
			t.Fatal("the copy differs")
		}
		_, used, err := usage(from)
		if err != nil {
			t.Fatal(err)
		}
		// Where extents came to lie apart, their list has a block of its own.
		const list = 4096
		if _, copied, err := usage(to); err != nil || copied > used+list {
			t.Fatalf("the copy takes %d bytes instead of %d (%v)", copied, used, err)
		}
		if size == 0 {
			return
		}
		if _, err := f.WriteAt([]byte{^byteAt(t, f, size-1)}, size-1); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
		if other, err := copySparse(context.Background(), from, to, func(int64, int64) {}); err != nil || other == digest {
			t.Fatalf("another content has the same digest (%v)", err)
		}
	})
}

func sum(t *rapid.T, path string) [32]byte {
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(body)
}

func byteAt(t *rapid.T, f *os.File, at int64) byte {
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return b[0]
}
